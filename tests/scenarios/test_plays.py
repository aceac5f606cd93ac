"""The transcripts in ``plays/``, played by real clients on real servers through one daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.stage.transcript import Play, acts
from tests.stage.world import World

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]

Rooms = Mapping[str, Mapping[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, Rooms]]:
    async with World(tmp_path_factory.mktemp("world")) as world:
        await world.xmpp_person("Juliet")
        await world.matrix_person("Romeo")
        yield world, {"Verona": await world.enter_verona()}


@pytest.mark.parametrize("play", acts(Path(__file__).parent / "plays"), ids=lambda path: path.stem)
async def test_the_play_comes_true(stage: tuple[World, Rooms], play: Path) -> None:
    world, rooms = stage
    await Play(world.people, rooms).perform(play.read_text())
