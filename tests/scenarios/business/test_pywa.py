"""An unmodified pywa bot holds a conversation with customers who are not on WhatsApp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pywa import types
from pywa.types.message_status import MessageStatusType

from adapters.contract import Inbound, Receipt, TypingNotice
from protocol.content import SinglePart
from protocol.status import Status
from tests.scenarios.business.host import JULIET, ROMEO, SHOP, Host
from tests.scenarios.business.shop import Shop


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path) as host:
        yield host


@pytest.fixture
async def shop(host: Host) -> AsyncIterator[Shop]:
    async with Shop(host.url) as shop:
        yield shop


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
