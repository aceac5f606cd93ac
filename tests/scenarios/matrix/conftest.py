"""The stage: one Synapse with Rialto's registration, a host for the adapter, and people with clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import TypeAlias

import pytest

from adapters.matrix import MatrixConfig, registration
from tests.scenarios.matrix.host import Host
from tests.scenarios.matrix.person import Person
from tests.servers.ports import free_port
from tests.servers.synapse import Synapse

Enter: TypeAlias = Callable[[str], Awaitable[Person]]

_numbers = count(1)


@pytest.fixture(scope="module")
def config(synapse: Synapse) -> MatrixConfig:
    """The adapter's settings; the homeserver was given their registration."""
    config = MatrixConfig(
        homeserver=synapse.url,
        server_name=synapse.server_name,
        url=f"http://127.0.0.1:{free_port()}",
        as_token="as-token-of-a-test",
        hs_token="hs-token-of-a-test",
    )
    synapse.serve(registration(config))
    return config


@pytest.fixture
async def host(config: MatrixConfig) -> AsyncIterator[Host]:
    host = Host(config, int(config.url.rpartition(":")[2]))
    await host.start()
    yield host
    # A homeserver that could not push something drops typing and receipts until it has tried again, seconds later.
    await host.next_quiet()
    await host.stop()


@pytest.fixture
async def enter(synapse: Synapse) -> AsyncIterator[Enter]:
    """Let somebody enter: ``await enter("romeo")`` is a new person whose name starts so."""
    people: list[Person] = []

    async def new(name: str) -> Person:
        person = Person(synapse, synapse.register(f"{name}{next(_numbers)}"))
        people.append(person)
        await person.start()
        return person

    yield new
    for person in people:
        await person.stop()
