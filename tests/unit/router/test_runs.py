"""Stories about a router whose database was restored or lost: it went back, and every cursor tells."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.router.client import HttpRouter
from bridge.router.contract import Router, WentBack
from bridge.router.runs import BEFORE_RUNS, Run, Runs
from bridge.router.server import RouterServer
from tests.unit.router.conftest import NAMES, House, hear, hello, open_room
from tests.unit.router.doubles import endpoint, says, text_of


async def send(house: House, *texts: str) -> None:
    await house.router("xmpp").submit([says("xmpp", text, epoch=1) for text in texts])


async def first_batch(router: Router, cursor: str) -> list[str]:
    return [text_of(note.body) for note in await hear(router, 1, cursor)]


def files(house: House) -> Iterator[Path]:
    return house.folder.glob("router.db*")


async def lose(house: House) -> None:
    await house.hub.stop()
    for path in files(house):
        path.unlink()
    house.hub = House.build(house.folder, clock=house.clock).hub
    await house.open()


async def keep_copy(house: House, folder: Path) -> None:
    await house.hub.stop()
    folder.mkdir()
    for path in files(house):
        shutil.copy(path, folder)
    house.hub = House.build(house.folder, clock=house.clock).hub
    await house.open()


async def restore(house: House, folder: Path) -> None:
    await house.hub.stop()
    for path in files(house):
        path.unlink()
    for path in folder.iterdir():
        shutil.copy(path, house.folder)
    house.hub = House.build(house.folder, clock=house.clock).hub
    await house.open()


@contextmanager
def told(reason: str) -> Iterator[None]:
    with pytest.raises(WentBack, match=reason):
        yield


async def test_a_router_that_was_only_started_again_holds_every_cursor(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "one", "two")
    cursors = [note.cursor for note in await hear(house.router("matrix"), 3)]
    for _ in range(3):
        await house.restart()
    assert await first_batch(house.router("matrix"), cursors[1]) == ["two"]
    await send(house, "three")
    assert await first_batch(house.router("matrix"), cursors[2]) == ["three"]
    answer = await house.router("matrix").hello(hello("session of matrix", known=cursors[2]))
    assert not answer.went_back


async def test_a_restored_router_knows_that_it_went_back(house: House, tmp_path: Path) -> None:
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "one")
    await keep_copy(house, tmp_path / "copy")
    await send(house, "two", "three")
    heard = await hear(house.router("matrix"), 4)
    await restore(house, tmp_path / "copy")
    matrix = house.router("matrix")
    with told("does not hold|no history"):
        await anext(aiter(matrix.notify(heard[-1].cursor)))
    with told("does not hold|no history"):
        await matrix.acknowledge(heard[-1].cursor)
    assert (await matrix.hello(hello("session of matrix", known=heard[-1].cursor))).went_back
    assert not (await matrix.hello(hello("session of matrix", known=heard[1].cursor))).went_back


async def test_a_restored_router_that_was_pushed_past_the_cursor_knows_it_too(house: House, tmp_path: Path) -> None:
    """The position of the cursor belongs to another message by now: without its run nobody could tell."""
    await open_room(house.router("xmpp"), "matrix")
    await keep_copy(house, tmp_path / "copy")
    await send(house, "one", "two")
    heard = (await hear(house.router("matrix"), 3))[-1]
    await restore(house, tmp_path / "copy")
    await send(house, *(f"other {n}" for n in range(10)))
    others = await hear(house.router("matrix"), 11)
    assert heard.position in [note.position for note in others]
    with told("does not hold|no history"):
        await anext(aiter(house.router("matrix").notify(heard.cursor)))
    assert len(await first_batch(house.router("matrix"), others[5].cursor)) == 5


async def test_of_one_run_only_what_came_before_the_copy_is_held(house: House, tmp_path: Path) -> None:
    """The copy was made of a running router: the run that the cursor names is known, and ends earlier."""
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "one")
    (tmp_path / "copy").mkdir()
    for path in files(house):
        shutil.copy(path, tmp_path / "copy")
    await send(house, "two")
    cursors = [note.cursor for note in await hear(house.router("matrix"), 3)]
    await restore(house, tmp_path / "copy")
    with told("that run ends at"):
        await anext(aiter(house.router("matrix").notify(cursors[2])))
    await send(house, "three")
    assert await first_batch(house.router("matrix"), cursors[1]) == ["three"]


async def test_a_lost_router_knows_no_cursor_and_begins_anew(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "one")
    heard = (await hear(house.router("matrix"), 2))[-1]
    await house.router("matrix").acknowledge(heard.cursor)
    await lose(house)
    matrix = house.router("matrix")
    with told("no history"):
        await anext(aiter(matrix.notify(heard.cursor)))
    answer = await matrix.hello(hello("session of matrix", known=heard.cursor))
    assert (answer.went_back, answer.acknowledged) == (True, "")
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "anew")
    assert text_of((await hear(matrix, 2))[-1].body) == "anew"


async def test_over_http_the_stream_ends_by_the_same_word(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    cursor = (await hear(house.router("matrix"), 1))[-1].cursor
    await lose(house)
    server = RouterServer(house.hub)
    port = await server.start("127.0.0.1", 0)
    client = HttpRouter(f"http://127.0.0.1:{port}", "token of matrix", endpoint("matrix"))
    assert (await client.hello(hello("session of matrix", known=cursor))).went_back
    with told("no history"):
        await anext(aiter(client.notify(cursor)))
    with told("no history"):
        await client.acknowledge(cursor)
    await client.close()
    await server.stop()


async def test_what_was_accepted_names_its_place_too(house: House, tmp_path: Path) -> None:
    """A sender hears nothing of its own: it knows by the answer that what it said is gone."""
    await open_room(house.router("xmpp"), "matrix")
    await keep_copy(house, tmp_path / "copy")
    (answer,) = await house.router("xmpp").submit([says("xmpp", "lost", epoch=1)])
    await restore(house, tmp_path / "copy")
    assert (await house.router("xmpp").hello(hello("session of xmpp", known=answer.cursor))).went_back


async def test_each_opening_is_a_run_and_idle_ones_leave_no_trace(house: House) -> None:
    seen = set()
    for _ in range(5):
        seen.add((await house.router("xmpp").hello(hello("session of xmpp"))).run)
        await house.restart()
    assert len(seen) == 5
    assert len(house.hub._journal.runs._runs) == 1  # type: ignore[attr-defined]
    assert set(NAMES) == set(house.routers)


def test_a_cursor_names_the_run_that_gave_its_position() -> None:
    runs = Runs([Run(BEFORE_RUNS, 1), Run("b", 4), Run("c", 9)])
    named = [runs.cursor(position) for position in (0, 1, 3, 4, 8, 9, 100)]
    assert named == ["", "0.1", "0.3", "b.4", "b.8", "c.9", "c.100"]
    assert [runs.position(cursor) for cursor in named] == [0, 1, 3, 4, 8, 9, 100]
    assert [runs.position(cursor) for cursor in ("0", "2")] == [0, 2], "cursors of before there were runs"
    for cursor in ("4", "0.4", "b.3", "b.9", "c.8", "d.1"):
        with pytest.raises(WentBack):
            runs.position(cursor)
