"""Two components of one XMPP server in one daemon: each account's people are strangers to the other's, and can talk."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers.ports import free_ports
from tests.servers.prosody import Prosody
from tests.stage.person import Did
from tests.stage.world import REPOSITORY, Rialto
from tests.stage.xmpp import XmppPerson

pytestmark = pytest.mark.servers

TWO = 'Component "two.xmpp.test"\n  component_secret = "second-secret"\n'
CONFIG = """
domain = "bridge.example"

[router]
listen = "127.0.0.1:{router}"

[http]
listen = "127.0.0.1:{http}"

[endpoint.one]
adapter = "xmpp"
default = true
[endpoint.one.account]
component = "rialto.xmpp.test"
port = {port}
secret = "{secret}"

[endpoint.two]
adapter = "xmpp"
[endpoint.two.account]
component = "two.xmpp.test"
port = {port}
secret = "second-secret"
"""


@pytest.fixture
def prosody_of_two(tmp_path: Path) -> Iterator[Prosody]:
    with Prosody(tmp_path / "prosody", extra=TWO) as server:
        yield server


@pytest.fixture
async def rialto(tmp_path: Path, prosody_of_two: Prosody) -> AsyncIterator[Rialto]:
    http, router = free_ports(2)
    config = tmp_path / "rialto.toml"
    ports = prosody_of_two.ports
    config.write_text(CONFIG.format(http=http, router=router, port=ports.component, secret=prosody_of_two.secret))
    command = [sys.executable, "-m", "bridge.cli", "init", "--keys-only", "--config", str(config)]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    rialto = Rialto(config, {"run": http}, separate=False)
    await asyncio.to_thread(rialto.start)
    yield rialto
    await asyncio.to_thread(rialto.stop)


async def arrive(server: Prosody, name: str) -> XmppPerson:
    person = XmppPerson(name, server.register(name.lower(), "secret"), "secret", server.ports.client)
    await person.arrive()
    return person


async def test_people_of_two_accounts_talk_with_each_other(prosody_of_two: Prosody, rialto: Rialto) -> None:
    juliet, nurse = [await arrive(prosody_of_two, name) for name in ("Juliet", "Nurse")]
    try:
        # Nurse as the account "two" knows her, written to through the account "one"; and Juliet the other way round.
        first = await juliet.say(r"xmpp.two~nurse\40xmpp.test@rialto.xmpp.test", "Nurse!")
        heard = await nurse.wait(lambda thing: thing.text == "Nurse!", "what Juliet said")
        await nurse.say(r"xmpp~juliet\40xmpp.test@two.xmpp.test", "Madam!", reply_to=heard.id)
        answer = await juliet.wait(lambda thing: thing.text == "Madam!", "what Nurse said")
        assert answer.target == first

        # Nobody is reached through an account that they belong to: they have a JID of their own.
        await juliet.say(r"xmpp~nurse\40xmpp.test@rialto.xmpp.test", "the wrong way")
        told = await juliet.wait(lambda thing: thing.did is Did.ERROR, "the error")
        assert "has a JID already" in told.text
    finally:
        for person in (juliet, nurse):
            await person.leave()
