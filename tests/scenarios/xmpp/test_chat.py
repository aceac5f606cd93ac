"""Juliet on XMPP and Romeo on Matrix talk: a real client on a real Prosody, the adapter, a scripted endpoint."""

from __future__ import annotations

import pytest

from protocol.uri import Address
from tests.scenarios.xmpp.conftest import Arrive
from tests.scenarios.xmpp.host import ROMEO, ROMEO_JID, Host, chat
from tests.stage.person import Did

pytestmark = pytest.mark.servers


async def test_juliet_writes_and_gets_a_receipt_when_it_is_durable(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    host.held = True
    id_ = await juliet.say(ROMEO_JID, "O Romeo, Romeo, wherefore art thou Romeo?")
    heard = await host.heard()
    assert heard.conversation == chat(juliet.jid)
    assert heard.sender.address == Address("xmpp", juliet.jid)
    assert heard.message.part.text == "O Romeo, Romeo, wherefore art thou Romeo?"
    assert id_ not in juliet.receipts
    heard.acknowledge(None)


async def test_romeo_writes_to_juliet(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    sent = await host.say(chat(juliet.jid), ROMEO, "I take thee at thy word")
    noticed = await juliet.wait(lambda thing: thing.did is Did.SAY, "Romeo's word")
    assert (noticed.sender, noticed.text) == ("Romeo", "I take thee at thy word")
    assert sent.native_id.endswith(noticed.id)
