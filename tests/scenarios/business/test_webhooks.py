"""How the program is called: signed, one event at a time, in order, and the same bytes at every attempt."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from adapters.business.config import Limits, Subscriber
from adapters.contract import Inbound, Message, Permanent, Receipt, Retry, Throttled, Unsure
from protocol.content import ExternalPart, text
from protocol.status import Status
from tests.scenarios.business.host import JULIET, PHONE, ROMEO, SECRET, Host
from tests.scenarios.business.receiver import VERIFY, Receiver


async def test_every_webhook_is_signed_over_its_bytes_which_are_ascii(host: Host, receiver: Receiver) -> None:
    await host.says("Schöne Grüße 🌹")

    signature, body = receiver.received[0]
    assert signature == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert body.isascii()
    assert json.dumps(json.loads(body), separators=(",", ":")).encode() == body


async def test_a_retry_has_the_same_bytes_and_the_same_id(host: Host, receiver: Receiver) -> None:
    receiver.answers = [500, 503, 404, 200]
    host.files["cid:1"] = b"pixels" * 500
    host.now += 5
    part = ExternalPart(content_type="image/jpeg", url="cid:1")
    delivery, key = host.delivery(Message(part=part))

    for _ in range(3):
        with pytest.raises(Retry):
            await host.adapter.send(delivery, key)
        host.now += 60_000
    sent = await host.adapter.send(delivery, key)

    assert len(receiver.received) == 4
    assert len(set(receiver.received)) == 1
    assert receiver.values[0]["messages"][0]["id"] == sent.native_id
    assert receiver.values[0]["messages"][0]["timestamp"] == "1790000000"


async def test_after_a_restart_a_retry_still_has_the_same_bytes(host: Host, receiver: Receiver, tmp_path: Path) -> None:
    delivery, key = host.delivery("Are you there?")
    first = await host.adapter.send(delivery, key)

    async with Host(tmp_path, host.store) as again:  # the same store: identities and the callback are remembered
        assert await again.adapter.send(delivery, key) == first
    assert len(set(receiver.received)) == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(500, Retry), (502, Retry), (401, Retry), (404, Retry), (302, Retry), (429, Throttled), (400, Permanent)],
)
async def test_what_the_program_answers_decides_what_becomes_of_a_message(
    host: Host, receiver: Receiver, answer: int, outcome: type[Exception]
) -> None:
    receiver.answers = [answer]
    delivery, key = host.delivery("Hello")
    with pytest.raises(outcome):
        await host.adapter.send(delivery, key)
    assert str(answer) in str(host.adapter.health()["callback"])


async def test_the_program_may_ask_for_time(host: Host, receiver: Receiver) -> None:
    receiver.answers = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "9"})]
    delivery, key = host.delivery("Hello")
    with pytest.raises(Throttled) as throttled:
        await host.adapter.send(delivery, key)
    with pytest.raises(Retry) as retry:
        await host.adapter.send(delivery, key)
    assert (throttled.value.after, retry.value.after) == (7, 9)


async def test_a_program_that_is_down_gets_it_later(host: Host, tmp_path: Path) -> None:
    async with Receiver(host.url) as receiver:
        await receiver.register()
    delivery, key = host.delivery("Hello")
    with pytest.raises(Retry, match="cannot be reached"):
        await host.adapter.send(delivery, key)
    assert host.adapter.health()["connected"] is False


async def test_nobody_knows_what_became_of_a_call_that_was_not_answered(tmp_path: Path) -> None:
    limits = Limits(webhook_seconds=0.2)
    async with Host(tmp_path, limits=limits) as host, Receiver(host.url) as receiver:
        await receiver.register()
        receiver.hold.clear()
        delivery, key = host.delivery("Hello")
        with pytest.raises(Unsure):
            await host.adapter.send(delivery, key)
        receiver.hold.set()
        await host.adapter.send(delivery, key)
        assert len(set(receiver.received)) == 1


async def test_without_a_callback_messages_wait(host: Host) -> None:
    delivery, key = host.delivery("Is anybody there?")
    with pytest.raises(Retry, match="no callback"):
        await host.adapter.send(delivery, key)
    assert host.adapter.health()["without_callback"] == ["shop", "annex"]


async def test_sent_comes_before_delivered_and_each_in_a_call_of_its_own(host: Host, receiver: Receiver) -> None:
    _, answer = await receiver.call("POST", f"/{PHONE}/messages", json=_text(JULIET.address.id, "Hello"))
    native = answer["messages"][0]["id"]

    receiver.answers = [200, 500]
    with pytest.raises(Retry):
        await host.reports(native, Status.DELIVERED)
    await host.reports(native, Status.DELIVERED)
    await host.reports(native, Status.READ)

    told = [value["statuses"][0]["status"] for value in receiver.values]
    assert told == ["sent", "delivered", "sent", "delivered", "read"]
    assert receiver.received[0] == receiver.received[2]
    assert receiver.received[1] == receiver.received[3]
    assert all(len(value["statuses"]) == 1 for value in receiver.values)


async def test_of_a_reaction_only_that_it_was_sent_is_told(host: Host, receiver: Receiver) -> None:
    question = await host.says("Roses?")
    body = {
        "messaging_product": "whatsapp",
        "to": JULIET.address.id,
        "type": "reaction",
        "reaction": {"message_id": question.native_id, "emoji": "🌹"},
    }
    _, answer = await receiver.call("POST", f"/{PHONE}/messages", json=body)
    native = answer["messages"][0]["id"]
    await host.reports(native, Status.DELIVERED)
    await host.reports(native, Status.READ)
    assert [value["statuses"][0]["status"] for value in receiver.values[1:]] == ["sent"]


async def test_what_was_said_on_the_programs_behalf_is_not_reported(host: Host, receiver: Receiver) -> None:
    question = await host.says("Roses?")
    for emoji in ("🌹", "🌷", ""):
        body = {
            "messaging_product": "whatsapp",
            "to": JULIET.address.id,
            "type": "reaction",
            "reaction": {"message_id": question.native_id, "emoji": emoji},
        }
        await receiver.call("POST", f"/{PHONE}/messages", json=body)
    rose, rose_withdrawn, tulip, tulip_withdrawn = [each.native_id for each in host.of(Inbound)]
    for native in (rose, rose_withdrawn, tulip, tulip_withdrawn):
        await host.reports(native, Status.DELIVERED)
    told = [value["statuses"][0]["id"] for value in receiver.values[1:]]
    assert told == [rose, tulip, tulip_withdrawn]


async def test_a_program_that_answers_before_it_acknowledges_is_not_kept_waiting(
    host: Host, receiver: Receiver
) -> None:
    receiver.hold.clear()  # the webhook's own answer comes last
    delivery, key = host.delivery("Do you sell roses?")
    sending = asyncio.create_task(host.adapter.send(delivery, key))
    while not receiver.received:
        await asyncio.sleep(0.01)
    question = receiver.values[0]["messages"][0]["id"]

    answer = _text(JULIET.address.id, "Yes") | {"context": {"message_id": question}}
    async with asyncio.timeout(5):
        status, _ = await receiver.call("POST", f"/{PHONE}/messages", json=answer)
        sent = await sending

    assert status == 200
    assert sent.native_id == question
    assert (await host.wait(Inbound)).message.in_reply_to == question
    receiver.hold.set()


async def test_each_number_may_have_a_callback_of_its_own(host: Host, receiver: Receiver) -> None:
    async with Receiver(host.url) as own:
        wanted = {"webhook_configuration": {"override_callback_uri": own.url, "verify_token": VERIFY}}
        assert await own.call("POST", f"/v23.0/{PHONE}/", json=wanted) == (200, {"success": True})
        await host.says("To the number's own")
        assert (len(own.received), len(receiver.received)) == (1, 0)

        await own.call("POST", f"/v23.0/{PHONE}/", json={"webhook_configuration": {"override_callback_uri": ""}})
        await host.says("To the account's")
        assert (len(own.received), len(receiver.received)) == (1, 1)


async def test_a_callback_that_fails_the_handshake_is_not_registered(host: Host) -> None:
    async with Receiver(host.url) as receiver:
        receiver.challenge = "parrot"
        status, body = await receiver.register()
        assert (status, body["error"]["code"]) == (400, 2200)

        wanted = {"override_callback_uri": receiver.url, "verify_token": "wrong"}
        status, body = await receiver.call("POST", "/2001/subscribed_apps", json=wanted)
        assert (status, body["error"]["code"]) == (400, 2200)

        wanted["override_callback_uri"] = "http://127.0.0.1:9/hook"
        status, body = await receiver.call("POST", "/2001/subscribed_apps", json=wanted)
        assert (status, body["error"]["code"]) == (400, 2200)
    assert host.adapter.health()["without_callback"] == ["shop", "annex"]


@pytest.mark.parametrize(
    ("subscriber", "has", "lacks"),
    [
        ("classic", {"wa_id"}, {"user_id", "from_user_id", "recipient_user_id", "username"}),
        ("bsuid_only", {"user_id", "from_user_id", "username"}, {"wa_id", "from", "recipient_id"}),
        ("dual", {"wa_id", "user_id", "from", "from_user_id", "recipient_id", "recipient_user_id"}, set[str]()),
    ],
)
async def test_a_program_gets_the_identities_that_it_understands(
    tmp_path: Path, subscriber: str, has: set[str], lacks: set[str]
) -> None:
    async with Host(tmp_path, subscriber=Subscriber(subscriber)) as host, Receiver(host.url) as receiver:
        await receiver.register()
        await host.says("Hello", ROMEO)
        _, answer = await receiver.call("POST", f"/{PHONE}/messages", json=_text(ROMEO.address.id, "Hi"))
        await host.reports(answer["messages"][0]["id"], Status.READ, ROMEO)
        said = _keys([answer, *receiver.values])
    assert has <= said
    assert not lacks & said


async def test_what_a_customer_reads_is_acknowledged_by_the_endpoint(host: Host, receiver: Receiver) -> None:
    sent = await host.says("Hello")
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": sent.native_id}
    assert await receiver.call("POST", f"/v23.0/{PHONE}/messages", json=body) == (200, {"success": True})
    assert host.of(Receipt)[0].native_ids == (sent.native_id,)


async def test_a_message_that_no_network_of_ours_can_name_is_undeliverable(host: Host, receiver: Receiver) -> None:
    foreign = Message(part=text("Yes"), in_reply_to="not-a-wamid")
    with pytest.raises(Permanent):
        await host.says(foreign)
    assert receiver.received == []


def _text(to: str, body: str) -> dict[str, object]:
    return {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": body}}


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in _keys(each)}
    if isinstance(value, list):
        return {key for each in value for key in _keys(each)}
    return set()
