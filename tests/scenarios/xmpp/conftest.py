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


async def until(true: Callable[[], bool], patience: float = 40.0) -> None:
    """Wait until something that nobody announces has become true."""
    async with asyncio.timeout(patience):
        while not true():
            await asyncio.sleep(0.01)


class Client(XmppPerson):
    """A person whose client keeps every stanza, too."""

    def __init__(self, name: str, jid: str, password: str, port: int) -> None:
        super().__init__(name, jid, password, port)
        self.bodies: list[str] = []
        self.sent: dict[str, str] = {}  # text to the stanza id we gave it; a room gives it another
        self.client.add_event_handler("message", lambda stanza: self.bodies.append(str(stanza["body"])))

    async def say(self, to: str, text: str, *, reply_to: str = "", stanza_id: str = "") -> str:
        self.sent[text] = await super().say(to, text, reply_to=reply_to, stanza_id=stanza_id)
        return self.sent[text]

    async def archive(self) -> list[str]:
        """The stanza ids of all messages in one's own archive on the server (XEP-0313)."""
        self.client.register_plugin("xep_0313")
        archive = self.client.plugin["xep_0313"]
        return [
            str(result["mam_result"]["forwarded"]["stanza"]["id"]) async for result in archive.iterate(rsm={"max": 50})
        ]


async def arrive_at(server: Prosody, name: str, jid: str = "") -> Client:
    """Sign a person in, on a new account unless they have one, with a client of their own."""
    user = jid.partition("@")[0] or f"{name.lower()}{next(_numbers)}"
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
