"""An unmodified pywa bot holds a conversation with customers who are not on WhatsApp."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
import pywa
from pywa import errors, types
from pywa.types.message_status import MessageStatusType

from adapters.business.pywa import transport
from adapters.contract import Inbound, Message, Receipt, Refused, TypingNotice
from protocol.content import Disposition, ExternalPart, MultiPart, NullPart, SinglePart, text
from protocol.status import Status
from tests.scenarios.business.host import APP, JULIET, PHONE, ROMEO, SECRET, SHOP, Host
from tests.scenarios.business.shop import Shop

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
PDF = b"%PDF-1.7\n" + b"a dram of poison, forty ducats\n" * 4000


async def test_a_customer_asks_and_the_bot_answers_with_a_quote(host: Host, shop: Shop) -> None:
    sent = await host.says("Do you sell rosés? 🌹")

    question = await shop.next()
    assert question.text == "Do you sell rosés? 🌹"
    assert question.id == sent.native_id
    assert question.from_user.name == "Juliet Capulet"
    assert question.from_user.username == "juliet@capulet.example"
    assert question.metadata.phone_number_id == "1001"

    assert (await shop.do(question.indicate_typing)).success
    answer = await shop.do(question.reply_text, "We do.", quote=True)

    read = await host.wait(Receipt)
    assert (read.native_ids, read.status) == ((sent.native_id,), Status.READ)
    said = await host.wait(Inbound)
    assert said.conversation == host.talk(JULIET)
    assert said.sender.address == SHOP
    assert said.sender.name == "The Apothecary"
    assert said.native_id == answer.id
    assert said.message.in_reply_to == sent.native_id
    assert isinstance(said.message.part, SinglePart)
    assert said.message.part.text == "We do."
    assert [notice.active for notice in host.of(TypingNotice)] == [True, False]


async def test_statuses_come_back_with_the_tracker_of_the_message(host: Host, shop: Shop) -> None:
    sent = await shop.do(shop.wa.send_message, to=ROMEO.address.id, text="Hello", tracker="order-7")
    await host.wait(Inbound)

    await host.reports(sent.id, Status.DELIVERED, ROMEO)
    await host.reports(sent.id, Status.READ, ROMEO)

    news = [await shop.next(types.MessageStatus) for _ in range(3)]
    # pywa works on several webhooks side by side, so only test_webhooks can tell in which order they came.
    assert {each.status for each in news} == {
        MessageStatusType.SENT,
        MessageStatusType.DELIVERED,
        MessageStatusType.READ,
    }
    assert {each.id for each in news} == {sent.id}
    assert {each.tracker for each in news} == {"order-7"}
    assert {each.from_user.username for each in news} == {"@romeo:montague.example"}


async def test_the_bot_uploads_a_picture_and_sends_it_with_a_caption(host: Host, shop: Shop) -> None:
    sent = await shop.do(
        shop.wa.send_image, to=JULIET.address.id, image=PNG, mime_type="image/png", caption="Our roses"
    )

    said = await host.wait(Inbound)
    unit = said.message.part
    assert isinstance(unit, MultiPart)
    picture, caption = unit.parts
    assert isinstance(picture, ExternalPart)
    assert isinstance(caption, SinglePart)
    assert (picture.content_type, picture.size, caption.text) == ("image/png", len(PNG), "Our roses")
    assert host.fetched[sent.id] == PNG


async def test_the_bot_streams_a_document_without_stating_its_length(host: Host, shop: Shop) -> None:
    def pages() -> Iterator[bytes]:
        for start in range(0, len(PDF), 7000):
            yield PDF[start : start + 7000]

    media = await shop.do(shop.wa.upload_media, media=pages(), mime_type="application/pdf", filename="bill of sale.pdf")
    sent = await shop.do(shop.wa.send_document, to=JULIET.address.id, document=media, filename="bill.pdf")

    said = await host.wait(Inbound)
    assert isinstance(said.message.part, ExternalPart)
    assert said.message.part.filename == "bill.pdf"
    assert host.fetched[sent.id] == PDF

    assert await shop.do(shop.wa.get_media_bytes, url=(await shop.do(shop.wa.get_media_url, media.id)).url) == PDF
    assert (await shop.do(shop.wa.delete_media, media.id)).success
    with pytest.raises(errors.WhatsAppError) as gone:
        await shop.do(shop.wa.get_media_url, media.id)
    assert (gone.value.code, gone.value.subcode) == (100, 33)


async def test_a_file_by_link_is_fetched_by_us(host: Host, shop: Shop) -> None:
    first = await shop.do(shop.wa.upload_media, media=PNG, mime_type="image/png", filename="rose.png")
    link = (await shop.do(shop.wa.get_media_url, first.id)).url + "&access_token=a-token-for-tests"

    sent = await shop.do(shop.wa.send_image, to=JULIET.address.id, image=link)

    await host.wait(Inbound)
    assert host.fetched[sent.id] == PNG


async def test_a_customers_picture_reaches_the_bot(host: Host, shop: Shop) -> None:
    host.files["cid:1"] = PNG
    picture = ExternalPart(content_type="image/png", url="cid:1", size=len(PNG), filename="flat.png")
    unit = MultiPart(semantics=1, parts=(picture, text("My room")))
    await host.says(Message(part=unit))

    seen = await shop.next()
    assert seen.image is not None
    assert (seen.image.mime_type, seen.caption) == ("image/png", "My room")
    assert await shop.do(seen.get_media_bytes) == PNG


async def test_a_customer_reacts_edits_and_deletes(host: Host, shop: Shop) -> None:
    first = await host.says("I want roses")
    await shop.next()

    reacted = await host.says(Message(part=text("👍", disposition=Disposition.REACTION), in_reply_to=first.native_id))
    reaction = (await shop.next()).reaction
    assert reaction is not None
    assert (reaction.message_id, reaction.emoji) == (first.native_id, "👍")

    await host.says(Message(part=NullPart(), replaces=reacted.native_id))
    taken_back = (await shop.next()).reaction
    assert taken_back is not None
    assert (taken_back.message_id, taken_back.is_removed) == (first.native_id, True)

    await host.says(Message(part=text("I want tulips"), replaces=first.native_id))
    edited = await shop.next(types.EditedMessage)
    assert (edited.original_message_id, edited.message.text) == (first.native_id, "I want tulips")

    await host.says(Message(part=NullPart(), replaces=first.native_id))
    assert (await shop.next(types.DeletedMessage)).original_message_id == first.native_id


async def test_a_customer_answers_a_certain_message_of_the_bot(host: Host, shop: Shop) -> None:
    offer = await shop.do(shop.wa.send_message, to=ROMEO.address.id, text="Roses, 3 ducats")
    await host.says(Message(part=text("Yes please"), in_reply_to=offer.id), ROMEO)

    answer = await shop.next()
    assert answer.reply_to_message is not None
    assert answer.reply_to_message.id == offer.id
    assert answer.reply_to_message.from_user_id == "15550001001"


async def test_the_bot_reacts_changes_its_mind_and_takes_it_back(host: Host, shop: Shop) -> None:
    sent = await host.says("I will take them")
    message = await shop.next()

    await shop.do(message.react, "👍")
    await shop.do(message.react, "❤️")
    await shop.do(message.unreact)

    thumb, withdrawn, heart, withdrawn_too = [each.message for each in host.of(Inbound)]
    ids = [each.native_id for each in host.of(Inbound)]
    assert isinstance(thumb.part, SinglePart)
    assert isinstance(heart.part, SinglePart)
    assert (thumb.part.text, thumb.in_reply_to) == ("👍", sent.native_id)
    assert (withdrawn.part, withdrawn.replaces) == (NullPart(), ids[0])
    assert (heart.part.text, heart.in_reply_to) == ("❤️", sent.native_id)
    assert (withdrawn_too.part, withdrawn_too.replaces) == (NullPart(), ids[2])


async def test_a_person_may_be_named_in_four_ways(host: Host, shop: Shop) -> None:
    await host.says("Hello")
    user = (await shop.next()).from_user
    assert user.wa_id is not None
    assert user.wa_id.startswith("999")
    assert user.bsuid.startswith("XX.")

    for name in (user.wa_id, f"+{user.wa_id}", user.bsuid, "Juliet@Capulet.Example/balcony"):
        await shop.do(shop.wa.send_message, to=name, text=f"Hello {name}")
    assert [each.conversation for each in host.of(Inbound)] == [host.talk(JULIET)] * 4


async def test_every_version_of_the_api_is_ours(host: Host, shop: Shop) -> None:
    async with Shop(host.url, version=17.0) as old:
        await old.do(old.wa.send_message, to=JULIET.address.id, text="From the past")
    assert (await host.wait(Inbound)).native_id.startswith("wamid.")


async def test_the_account_shows_its_numbers_and_has_no_templates(host: Host, shop: Shop) -> None:
    number = await shop.do(shop.wa.get_business_phone_number)
    assert (number.id, number.verified_name) == (PHONE, "The Apothecary")
    assert [each.id for each in await shop.do(shop.wa.get_business_phone_numbers)] == ["1001", "1002"]
    templates = await shop.do(shop.wa.get_templates)
    assert (list(templates), templates.total_count) == ([], 0)
    assert "application" in (await shop.do(shop.wa.get_business_phone_number)).webhook_configuration


async def test_what_is_refused_is_one_of_pywas_own_errors(host: Host, shop: Shop) -> None:
    say = shop.wa.send_message
    with pytest.raises(errors.MessageUndeliverable):
        await shop.do(say, to="999000000000000", text="Nobody has this number")
    with pytest.raises(errors.InvalidParameter):
        await shop.do(say, to=JULIET.address.id, text="x" * 4097)
    with pytest.raises(errors.MediaUploadError):
        await shop.do(shop.wa.send_image, to=JULIET.address.id, image=PDF, mime_type="application/pdf")
    with pytest.raises(errors.UnsupportedMessageType):
        await shop.do(shop.wa.send_catalog, to=JULIET.address.id, body="All we have")
    with pytest.raises(errors.MediaDownloadError):
        await shop.do(shop.wa.send_image, to=JULIET.address.id, image=f"{host.url}/nothing.png")
    with pytest.raises(errors.InvalidParameter):
        await shop.do(say, to=JULIET.address.id, text="?", reply_to_message_id="wamid.AAAA")

    host.refuse = lambda _: Refused("unknown-conversation", "the component does not know her")
    with pytest.raises(errors.MessageUndeliverable) as refusal:
        await shop.do(say, to=JULIET.address.id, text="Hello?")
    assert refusal.value.details == "the component does not know her"
    assert host.events == []


async def test_a_failed_message_is_reported_with_the_reason(host: Host, shop: Shop) -> None:
    sent = await shop.do(shop.wa.send_message, to=ROMEO.address.id, text="Hello")
    await host.reports(sent.id, Status.ERROR, ROMEO, reason="recipient-unreachable", words="he was banished")

    failed = await shop.next(types.MessageStatus)
    assert failed.status == MessageStatusType.FAILED
    assert isinstance(failed.error, errors.MessageUndeliverable)
    assert failed.error.details == "he was banished"


async def test_a_wrong_token_is_told_so(host: Host) -> None:
    session = httpx.Client(transport=transport(host.url))
    stranger = pywa.WhatsApp(phone_id=PHONE, token="stolen", session=session)
    with pytest.raises(errors.ExpiredAccessToken) as refused:
        await asyncio.to_thread(stranger.send_message, to=JULIET.address.id, text="Hello")
    session.close()
    assert refused.value.status_code == 401
    assert host.events == []


async def test_a_wrong_app_secret_registers_nothing(host: Host) -> None:
    session = httpx.Client(transport=transport(host.url))
    stranger = pywa.WhatsApp(phone_id=PHONE, token="stolen", session=session)
    with pytest.raises(errors.ExpiredAccessToken):
        await asyncio.to_thread(stranger.api.get_app_access_token, client_id=int(APP), client_secret="guessed")
    token = await asyncio.to_thread(stranger.api.get_app_access_token, client_id=int(APP), client_secret=SECRET)
    session.close()
    assert token["access_token"].startswith(f"{APP}|")
    assert SECRET not in token["access_token"]
