"""Two people talk: Romeo on Matrix with a real client, Juliet on another network through the adapter."""

from __future__ import annotations

from typing import Any

import nio
import pytest

from adapters.contract import Direct, Message, Permanent, Profile, Reason, Receipt, Refused, StatusUpdate
from protocol.content import MARKDOWN, Disposition, NullPart, SinglePart, text
from protocol.status import Status
from protocol.uri import Address
from tests.scenarios.matrix.conftest import Enter
from tests.scenarios.matrix.host import Host
from tests.scenarios.matrix.person import Person

pytestmark = pytest.mark.servers

JULIET = Profile(Address("xmpp", "juliet@xmpp.test"), "Juliet")
GHOST = "@rialto_xmpp_juliet=40xmpp.test:hs.test"


def with_(person: Person) -> Direct:
    return Direct(Address("matrix", person.id), JULIET.address)


async def meet(host: Host, person: Person) -> tuple[str, str]:
    """Let Juliet write first and the person join: the room and the first message's event."""
    sent = await host.say(with_(person), JULIET, "Good morrow")
    room = await person.invited()
    assert (await person.next())[1]["event_id"] == sent.native_id
    return room, sent.native_id


async def test_juliet_writes_first_and_romeo_answers(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")

    sent = await host.say(with_(romeo), JULIET, "How camest thou hither?")
    room = await romeo.invited()

    where, event = await romeo.next()
    assert (where, event["event_id"], event["sender"]) == (room, sent.native_id, GHOST)
    assert event["content"] == {"msgtype": "m.text", "body": "How camest thou hither?"}
    assert romeo.client.rooms[room].user_name(GHOST) == "Juliet"

    said = await romeo.send(room, "With love's light wings")
    heard = await host.heard()
    assert heard.native_id == said
    assert heard.conversation == with_(romeo)
    assert heard.sender.address == Address("matrix", romeo.id)
    assert heard.message == Message(text("With love's light wings"))
    assert heard.sent_at is not None


async def test_the_invitation_says_that_it_is_a_direct_chat(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    await host.say(with_(romeo), JULIET, "Art thou there?")
    room = await romeo.invited()

    def told() -> list[bool]:
        mine = (e for r, e in romeo.events if r == room and e.get("state_key") == romeo.id)
        return [e["content"]["is_direct"] for e in mine if "is_direct" in e.get("content", {})]

    await romeo.until(told)
    assert all(told())


async def test_romeo_writes_first_by_inviting_the_ghost(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room = await romeo.direct(GHOST)
    await romeo.send(room, "Lady, by yonder moon I vow")

    heard = await host.heard()
    assert heard.conversation == with_(romeo)

    await host.say(with_(romeo), JULIET, "O swear not by the moon")
    where, event = await romeo.next()
    assert where == room
    assert event["content"]["body"] == "O swear not by the moon"


async def test_the_last_room_of_two_is_the_one_that_is_written_to(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    old, _ = await meet(host, romeo)
    new = await romeo.direct(GHOST)
    await romeo.send(new, "here")
    await romeo.send(old, "and there")
    assert [(await host.heard()).conversation, (await host.heard()).conversation] == [with_(romeo)] * 2
    await host.say(with_(romeo), JULIET, "I hear thee in both")
    assert (await romeo.next())[0] == new


async def test_formatted_text_reaches_both_with_its_marks(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)

    await host.say(with_(romeo), JULIET, Message(text("A *rose* by **any** name", MARKDOWN)))
    content = (await romeo.next())[1]["content"]
    assert content["format"] == "org.matrix.custom.html"
    assert "<em>rose</em>" in content["formatted_body"] and "<strong>any</strong>" in content["formatted_body"]

    formatted = {"format": "org.matrix.custom.html", "formatted_body": "Call me <strong>love</strong>"}
    await romeo.send(room, {"msgtype": "m.text", "body": "Call me love", **formatted})
    part = (await host.heard()).message.part
    assert isinstance(part, SinglePart) and part.content_type == MARKDOWN
    assert part.text.strip() == "Call me **love**"


async def test_replies_edits_reactions_and_withdrawals_from_romeo(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, first = await meet(host, romeo)

    reply = await romeo.send(
        room,
        {
            "msgtype": "m.text",
            "body": f"> <{GHOST}> Good morrow\n\nto thee",
            "m.relates_to": {"m.in_reply_to": {"event_id": first}},
        },
    )
    assert (await host.heard()).message == Message(text("to thee"), in_reply_to=first)

    await romeo.send(
        room,
        {
            "msgtype": "m.text",
            "body": "* to thee too",
            "m.new_content": {"msgtype": "m.text", "body": "to thee too"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": reply},
        },
    )
    assert (await host.heard()).message == Message(text("to thee too"), replaces=reply)

    relation = {"rel_type": "m.annotation", "event_id": first, "key": "❤️"}
    reaction = await romeo.send(room, {"m.relates_to": relation}, "m.reaction")
    heard = await host.heard()
    assert heard.native_id == reaction
    assert heard.message == Message(text("❤️", disposition=Disposition.REACTION), in_reply_to=first)

    for event in (reaction, reply):
        assert isinstance(await romeo.client.room_redact(room, event), nio.RoomRedactResponse)
        assert (await host.heard()).message == Message(NullPart(), replaces=event)


async def test_replies_edits_reactions_and_withdrawals_from_juliet(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, first = await meet(host, romeo)
    his = await romeo.send(room, "Good morrow to thee")

    reply = await host.say(with_(romeo), JULIET, Message(text("and again"), in_reply_to=his))
    relates = (await romeo.next())[1]["content"]["m.relates_to"]
    assert relates == {"m.in_reply_to": {"event_id": his}}

    await host.say(with_(romeo), JULIET, Message(text("and once again"), replaces=reply.native_id))
    edit = (await romeo.next())[1]["content"]
    assert edit["m.new_content"] == {"msgtype": "m.text", "body": "and once again"}
    assert edit["m.relates_to"] == {"rel_type": "m.replace", "event_id": reply.native_id}

    smile = Message(text("😊", disposition=Disposition.REACTION), in_reply_to=his)
    reaction = await host.say(with_(romeo), JULIET, smile)
    _, event = await romeo.next("m.reaction")
    assert event["content"]["m.relates_to"] == {"rel_type": "m.annotation", "event_id": his, "key": "😊"}
    again = await host.say(with_(romeo), JULIET, smile)
    assert again == reaction, "a second like reaction is the first"

    for event_id in (reaction.native_id, first):
        await host.say(with_(romeo), JULIET, Message(NullPart(), replaces=event_id))
        _, event = await romeo.next("m.room.redaction")
        assert event["sender"] == GHOST
        assert event_id in {event.get("redacts"), event["content"].get("redacts")}


async def test_an_emote_is_slash_me_elsewhere(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)
    await romeo.send(room, {"msgtype": "m.emote", "body": "climbs the wall"})
    assert (await host.heard()).message == Message(text("/me climbs the wall"))
    await host.say(with_(romeo), JULIET, "/me blushes")
    assert (await romeo.next())[1]["content"] == {"msgtype": "m.emote", "body": "blushes"}


async def test_read_marks_go_both_ways(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, first = await meet(host, romeo)

    await romeo.client.update_receipt_marker(room, first)
    receipt = await host.next(Receipt)
    assert (receipt.conversation, receipt.native_ids, receipt.status) == (with_(romeo), (first,), Status.READ)
    assert receipt.sender.address.id == romeo.id

    his = await romeo.send(room, "Hast thou read this?")
    await host.heard()
    for status in (Status.DELIVERED, Status.READ):
        update = StatusUpdate(conversation=with_(romeo), native_id=his, status=status, at=1, by=JULIET)
        await host.adapter.report(update, f"report-{status}")
    await romeo.until(lambda: GHOST in {r.user_id for r in romeo.receipts})
    assert [r.event_id for r in romeo.receipts if r.user_id == GHOST] == [his]


async def test_a_receipt_for_a_notice_means_the_message_before_it(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, first = await meet(host, romeo)
    update = StatusUpdate(
        conversation=with_(romeo), native_id=first, status=Status.ERROR, at=1, reason="expired", text="too late"
    )
    await host.adapter.report(update, "late")
    _, notice = await romeo.next()
    await romeo.client.update_receipt_marker(room, notice["event_id"])
    assert (await host.next(Receipt)).native_ids == (first,)


async def test_typing_goes_both_ways(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)
    for active in (True, False):
        await romeo.client.room_typing(room, active, 20_000)
        notice = await host.typing()
        assert (notice.conversation, notice.sender.address.id, notice.active) == (with_(romeo), romeo.id, active)
    for active, typists in ((True, [GHOST]), (False, [])):
        await host.adapter.typing(with_(romeo), JULIET, active)
        await romeo.until(lambda typists=typists: romeo.typists == typists)


async def test_a_failure_is_told_in_the_room_as_a_reply(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)
    his = await romeo.send(room, "Wilt thou leave me so unsatisfied?")
    update = StatusUpdate(
        conversation=with_(romeo), native_id=his, status=Status.ERROR, at=1, reason="expired", text="it came too late"
    )
    await host.adapter.report(update, "bounce-1")
    await host.adapter.report(update, "bounce-1")
    _, event = await romeo.next()
    assert event["sender"] == GHOST
    assert event["content"] == {
        "msgtype": "m.notice",
        "body": "Not delivered: it came too late",
        "m.relates_to": {"m.in_reply_to": {"event_id": his}},
    }
    await romeo.send(room, "Alas")
    await host.say(with_(romeo), JULIET, "What satisfaction?")
    assert (await romeo.next())[1]["content"]["body"] == "What satisfaction?", "the notice came once"


async def test_a_new_name_is_shown(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)
    await host.say(with_(romeo), Profile(JULIET.address, "Juliet Capulet"), "'Tis but thy name")
    await romeo.until(lambda: romeo.client.rooms[room].user_name(GHOST) == "Juliet Capulet")
    await host.say(with_(romeo), Profile(JULIET.address), "that is my enemy")
    await host.say(with_(romeo), JULIET, "or not")
    await romeo.until(lambda: romeo.client.rooms[room].user_name(GHOST) == "Juliet")


async def test_romeos_name_travels_with_his_words(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    await romeo.client.set_displayname("Romeo Montague")
    room, _ = await meet(host, romeo)
    await romeo.send(room, "Call me but love")
    assert (await host.heard()).sender.name == "Romeo Montague"
    await romeo.client.set_displayname("Love")
    await romeo.until(lambda: romeo.client.rooms[room].user_name(romeo.id) == "Love")
    await romeo.send(room, "and I'll be new baptized")
    assert (await host.heard()).sender.name == "Love"


async def test_who_does_not_exist_cannot_be_written_to(host: Host) -> None:
    for id_ in ("@nobody:hs.test", "romeo", "@rialto:hs.test", GHOST):
        nobody = Direct(Address("matrix", id_), JULIET.address)
        with pytest.raises(Permanent) as failure:
            await host.say(nobody, JULIET, "Is anybody there?")
        assert failure.value.reason == Reason.RECIPIENT_UNKNOWN


async def test_who_left_is_invited_again(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)
    await romeo.leave(room)
    await romeo.send(await romeo.direct("@rialto_xmpp_nurse:hs.test"), "where is my lady?")
    await host.heard()  # later than the leaving

    sent = await host.say(with_(romeo), JULIET, "Come back")
    assert await romeo.invited() == room
    await romeo.until(lambda: sent.native_id in {e.get("event_id") for _, e in romeo.events})


async def test_a_ghost_that_was_thrown_out_makes_a_new_room(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room = await romeo.direct(GHOST, preset=nio.RoomPreset.private_chat)
    await romeo.send(room, "I will hear no more")
    await host.heard()
    assert isinstance(await romeo.client.room_kick(room, GHOST), nio.RoomKickResponse)
    sent = await host.say(with_(romeo), JULIET, "Yet one word")
    again = await romeo.invited()
    assert again != room
    assert (await romeo.next())[1]["event_id"] == sent.native_id


async def test_a_person_whose_address_is_too_long_for_a_ghosts_name(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    herald = Profile(Address("xmpp", "h" * 300 + "@xmpp.test"), "Herald")
    both = Direct(Address("matrix", romeo.id), herald.address)
    await host.say(both, herald, "Hear ye")
    _, event = await romeo.next() if await romeo.invited() else ("", {})
    room = await romeo.direct(event["sender"])
    await romeo.send(room, "I hear")
    assert (await host.heard()).conversation == both


async def sees_refusal(person: Person, of: str) -> dict[str, Any]:
    _, event = await person.next()
    content: dict[str, Any] = event["content"]
    assert content["msgtype"] == "m.notice"
    assert content["m.relates_to"] == {"m.in_reply_to": {"event_id": of}}
    return content


async def test_encrypted_messages_are_refused_in_words(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)
    secret = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AAAA", "session_id": "s"}
    sent = await romeo.send(room, secret, "m.room.encrypted")
    assert "Encrypted rooms are not supported yet" in (await sees_refusal(romeo, sent))["body"]
    assert host.texts() == []


async def test_a_third_person_is_not_heard_and_told_so(host: Host, enter: Enter) -> None:
    romeo, tybalt = await enter("romeo"), await enter("tybalt")
    room = await romeo.direct(GHOST)
    await romeo.client.room_invite(room, tybalt.id)
    await tybalt.invited()
    sent = await tybalt.send(room, "What, dares the slave come hither")
    assert romeo.id in (await sees_refusal(tybalt, sent))["body"]
    assert host.texts() == []


async def test_what_the_endpoint_refuses_is_told_to_who_wrote_it(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, _ = await meet(host, romeo)
    host.judge = lambda _: Refused("unknown-conversation")
    sent = await romeo.send(room, "Is she gone?")
    assert "Nobody can be reached here" in (await sees_refusal(romeo, sent))["body"]


async def test_nonsense_is_refused_and_does_not_stop_what_follows(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room, first = await meet(host, romeo)
    for nonsense in (
        {"msgtype": "m.text", "body": "* x", "m.relates_to": {"rel_type": "m.replace", "event_id": first}},
        {"msgtype": "m.text", "body": ""},
        {"msgtype": "m.image", "body": "x", "url": "http://x/"},
    ):
        sent = await romeo.send(room, nonsense)
        await sees_refusal(romeo, sent)
    await romeo.send(room, "I speak sense again")
    assert (await host.heard()).message == Message(text("I speak sense again"))


async def test_a_room_of_three_is_declined(host: Host, enter: Enter) -> None:
    romeo, mercutio = await enter("romeo"), await enter("mercutio")
    answer = await romeo.client.room_create(invite=[GHOST, mercutio.id])
    room = answer.room_id
    await romeo.until(lambda: romeo.saw(room, GHOST, "leave"))
