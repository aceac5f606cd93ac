"""The stage: a real Prosody, a host for the adapter, and people with real clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import TypeAlias

import pytest

from adapters.xmpp.config import XmppConfig
from tests.scenarios.xmpp.host import ROMEO, ROMEO_JID, Host
from tests.servers.prosody import COMPONENT, Prosody
from tests.stage.xmpp import XmppPerson

Arrive: TypeAlias = Callable[[str], Awaitable["Client"]]

_numbers = count(1)


def config(server: Prosody, **changes: object) -> XmppConfig:
    settings: dict[str, object] = {
        "component": COMPONENT,
        "port": server.ports.component,
        "secret": server.secret,
        "self_ping_seconds": 1.0,
        "media_hosts": ["localhost"],
    }
    return XmppConfig(**(settings | changes))  # type: ignore[arg-type]


async def until(true: Callable[[], bool], patience: float = 10.0) -> None:
    """Wait until something that nobody announces has become true."""
    async with asyncio.timeout(patience):
        while not true():
            await asyncio.sleep(0.01)


class Client(XmppPerson):
    """A person whose client keeps every stanza, too."""

    def __init__(self, name: str, jid: str, password: str, port: int) -> None:
        super().__init__(name, jid, password, port)
        self.bodies: list[str] = []
        self.client.add_event_handler("message", lambda stanza: self.bodies.append(str(stanza["body"])))


async def arrive_at(server: Prosody, name: str) -> Client:
    """Give a new person an account and a client, and sign them in."""
    user = f"{name.lower()}{next(_numbers)}"
    person = Client(name, server.register(user, "secret"), "secret", server.ports.client)
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
    people: list[Client] = []

    async def arrive(name: str) -> Client:
        people.append(await arrive_at(prosody, name))
        return people[-1]

    yield arrive
    for person in people:
        await person.leave()
