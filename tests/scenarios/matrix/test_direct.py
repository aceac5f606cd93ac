"""Two people talk: Romeo on Matrix with a real client, Juliet on another network through the adapter."""

from __future__ import annotations

import pytest

from adapters.contract import Direct, Profile
from protocol.uri import Address
from tests.scenarios.matrix.conftest import Enter
from tests.scenarios.matrix.host import Host

pytestmark = pytest.mark.servers

JULIET = Profile(Address("xmpp", "juliet@xmpp.test"), "Juliet")
GHOST = "@rialto_xmpp_juliet=40xmpp.test:hs.test"


def with_(person_id: str) -> Direct:
    return Direct(Address("matrix", person_id), JULIET.address)


async def test_juliet_writes_first_and_romeo_answers(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")

    sent = await host.say(with_(romeo.id), JULIET, "How camest thou hither?")
    room = await romeo.invited()

    where, event = await romeo.next()
    assert (where, event["event_id"], event["sender"]) == (room, sent.native_id, GHOST)
    assert event["content"] == {"msgtype": "m.text", "body": "How camest thou hither?"}
    assert romeo.client.rooms[room].user_name(GHOST) == "Juliet"

    said = await romeo.send(room, "With love's light wings")
    heard = await host.heard()
    assert heard.native_id == said
    assert heard.conversation == with_(romeo.id)
    assert heard.sender.address == Address("matrix", romeo.id)
    assert heard.message.part.text == "With love's light wings"


async def test_romeo_writes_first_by_inviting_the_ghost(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room = await romeo.direct(GHOST)
    await romeo.send(room, "Lady, by yonder moon I vow")

    heard = await host.heard()
    assert heard.conversation == with_(romeo.id)

    await host.say(with_(romeo.id), JULIET, "O swear not by the moon")
    where, event = await romeo.next()
    assert where == room
    assert event["content"]["body"] == "O swear not by the moon"
