"""The stage: a real Prosody, a host for the adapter, and people with real clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import TypeAlias

import pytest

from adapters.xmpp.config import XmppConfig
from tests.scenarios.xmpp.host import ROMEO, ROMEO_JID, Host
from tests.servers.prosody import COMPONENT, Prosody
from tests.stage.xmpp import XmppPerson

Arrive: TypeAlias = Callable[[str], Awaitable[XmppPerson]]

_numbers = count(1)


def config(server: Prosody, **changes: object) -> XmppConfig:
    settings: dict[str, object] = {
        "component": COMPONENT,
        "port": server.ports.component,
        "secret": server.secret,
        "self_ping_seconds": 1.0,
    }
    return XmppConfig(**(settings | changes))  # type: ignore[arg-type]


async def arrive_at(server: Prosody, name: str) -> XmppPerson:
    """Give a new person an account and a client, and sign them in."""
    user = f"{name.lower()}{next(_numbers)}"
    person = XmppPerson(name, server.register(user, "secret"), "secret", server.ports.client)
    person.addresses[ROMEO.name] = ROMEO_JID
    await person.arrive()
    return person


@pytest.fixture
async def host(prosody: Prosody) -> AsyncIterator[Host]:
    host = Host(config(prosody))
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
async def arrive(prosody: Prosody) -> AsyncIterator[Arrive]:
    people: list[XmppPerson] = []

    async def arrive(name: str) -> XmppPerson:
        people.append(await arrive_at(prosody, name))
        return people[-1]

    yield arrive
    for person in people:
        await person.leave()
