"""A second judge beside pywa: Kapso's client, which reads our answers with models of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

kapso = pytest.importorskip("kapso_whatsapp", reason="kapso-whatsapp-cloud-api is not installed")

from kapso_whatsapp.exceptions import WhatsAppAPIError  # noqa: E402
from kapso_whatsapp.webhooks import normalize_webhook, verify_signature  # noqa: E402

from adapters.contract import Inbound, Receipt  # noqa: E402
from protocol.content import ExternalPart, SinglePart  # noqa: E402
from protocol.status import Status  # noqa: E402
from tests.scenarios.business.host import JULIET, PHONE, ROMEO, SECRET, TOKEN, Host  # noqa: E402
from tests.scenarios.business.receiver import Receiver  # noqa: E402


@pytest.fixture
async def client(host: Host) -> AsyncIterator[kapso.WhatsAppClient]:
    async with kapso.WhatsAppClient(access_token=TOKEN, base_url=host.url, max_retries=0) as client:
        yield client


async def test_it_sends_words_a_picture_a_reaction_and_a_read_mark(
    host: Host, receiver: Receiver, client: kapso.WhatsAppClient
) -> None:
    question = await host.says("Do you sell roses?")
    say = client.messages
    await say.mark_read(phone_number_id=PHONE, message_id=question.native_id, typing_indicator=True)
    words = await say.send_text(
        phone_number_id=PHONE,
        to=JULIET.address.id,
        body="We do",
        context={"message_id": question.native_id},
    )
    uploaded = await client.media.upload(phone_number_id=PHONE, file=b"rose", type="image/png", filename="rose.png")
    picture = await say.send_image(phone_number_id=PHONE, to=JULIET.address.id, image={"id": uploaded.id})
    await say.send_reaction(
        phone_number_id=PHONE,
        to=JULIET.address.id,
        reaction={"message_id": question.native_id, "emoji": "🌹"},
    )

    assert host.of(Receipt)[0].native_ids == (question.native_id,)
    first, second, third = host.of(Inbound)
    assert isinstance(first.message.part, SinglePart)
    assert (first.message.part.text, first.message.in_reply_to) == ("We do", question.native_id)
    assert isinstance(second.message.part, ExternalPart)
    assert isinstance(third.message.part, SinglePart)
    assert third.message.part.text == "🌹"
    assert words.messages[0].id == first.native_id
    assert picture.messages[0].id == second.native_id
    assert host.fetched[second.native_id] == b"rose"

    described = await client.media.get(media_id=uploaded.id, phone_number_id=PHONE)
    assert (described.mime_type, described.file_size) == ("image/png", 4)


async def test_it_understands_our_refusals(host: Host, client: kapso.WhatsAppClient) -> None:
    with pytest.raises(WhatsAppAPIError) as refused:
        await client.messages.send_text(phone_number_id=PHONE, to="999000000000000", body="Hello?")
    assert refused.value.error_code == 131026


async def test_it_understands_our_webhooks(host: Host, receiver: Receiver, client: kapso.WhatsAppClient) -> None:
    await host.says("Hello", ROMEO)
    sent = await client.messages.send_text(phone_number_id=PHONE, to=ROMEO.address.id, body="Good day")
    await host.reports(sent.messages[0].id, Status.READ, ROMEO)

    for signature, body in receiver.received:
        assert verify_signature(app_secret=SECRET, raw_body=body, signature_header=signature)
    said, news = [normalize_webhook(json.loads(body)) for _, body in receiver.received]
    assert said.messages[0]["text"]["body"] == "Hello"
    assert said.contacts[0]["profile"]["name"] == "Romeo"
    assert (news.statuses[0].id, news.statuses[0].status) == (sent.messages[0].id, "read")
