"""The bot that the demonstration uses, in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.contract import Inbound, Message, Receipt, TypingNotice
from protocol.content import Disposition, ExternalPart, SinglePart, text
from protocol.status import Status
from tests.scenarios.business.host import APP, JULIET, PHONE, ROMEO, SECRET, TOKEN, WABA, Host
from tests.servers.pywa_bot import PywaBot


@pytest.fixture
async def bot(host: Host, tmp_path: Path) -> AsyncIterator[PywaBot]:
    bot = PywaBot(host.url, phone_id=PHONE, waba_id=WABA, app_id=APP, app_secret=SECRET, token=TOKEN, folder=tmp_path)
    with bot:
        await asyncio.to_thread(bot.wait_until_ready)
        yield bot


async def test_the_bot_serves_two_customers(host: Host, bot: PywaBot) -> None:
    asked = [await host.says("Roses?", JULIET), await host.says("A dram of poison!", ROMEO)]

    await host.wait(Inbound, count=2)
    answers = {each.conversation: each for each in host.of(Inbound)}
    for sent, customer, said in zip(asked, (JULIET, ROMEO), ("Roses?", "A dram of poison!"), strict=True):
        answer = answers[host.talk(customer)]
        assert answer.message.in_reply_to == sent.native_id
        assert isinstance(answer.message.part, SinglePart)
        assert answer.message.part.text == f"You said: {said}"
    assert {each.native_ids[0] for each in host.of(Receipt)} == {each.native_id for each in asked}
    assert [each.active for each in host.of(TypingNotice)].count(True) == 2


async def test_the_bot_takes_a_picture_a_reaction_and_statuses(host: Host, bot: PywaBot) -> None:
    host.files["cid:1"] = b"\x89PNG\r\n\x1a\n" * 9
    picture = await host.says(Message(part=ExternalPart(content_type="image/png", url="cid:1")))
    thanks = await host.wait(Inbound)
    assert isinstance(thanks.message.part, SinglePart)
    assert "image of 72 octets" in thanks.message.part.text

    await host.says(Message(part=text("🙏", disposition=Disposition.REACTION), in_reply_to=thanks.native_id))
    await host.reports(thanks.native_id, Status.READ)

    assert bot.wait_for("file", id=picture.native_id)["size"] == 72
    assert bot.wait_for("reaction", to=thanks.native_id)["emoji"] == "🙏"
    assert bot.wait_for("status", id=thanks.native_id)["status"] == "read"
