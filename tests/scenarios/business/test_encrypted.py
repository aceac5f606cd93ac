"""The whole way: a customer, two endpoints, a router that cannot read, the business API and a real pywa bot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from msgspec import structs
from pywa import types
from pywa.types.message_status import MessageStatusType

from adapters.business import Business
from adapters.business.config import BusinessConfig, Number
from adapters.contract import Direct, Message
from bridge.endpoint import Endpoint, EndpointSettings
from bridge.endpoint.context import Context
from protocol.capabilities import Format, Level
from protocol.content import Disposition, ExternalPart, MultiPart, NullPart, Semantics, text
from protocol.status import Status
from protocol.uri import Address, namespace
from tests.scenarios.business.host import APP, PHONE, SECRET, TOKEN, WABA
from tests.scenarios.business.shop import Shop
from tests.servers.ports import free_ports
from tests.unit.endpoint.fake_adapter import EVERYTHING, FakeNetwork
from tests.unit.endpoint.house import DOMAIN, KEY, QUICK, House, now, until

JULIET = "juliet@capulet.example"
TALK = Direct(Address("xmpp", JULIET), Address("business", "shop"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50


class Street:
    """A customer's network, and the bot of the shop at the other end."""

    def __init__(self, house: House, shop: Shop) -> None:
        self.customers: FakeNetwork = house.networks["xmpp"]
        self.house = house
        self.shop = shop

    async def hears(self, count: int) -> Message:
        """Return the ``count``-th message that reached the customer."""
        await until(lambda: len(self.customers.taken) >= count)
        return self.customers.taken[count - 1].message


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    config = BusinessConfig(
        numbers=[Number("shop", PHONE, "+1 555-000-1001", "The Apothecary")],
        waba_id=WABA,
        app_id=APP,
        app_secret=SECRET,
        access_token=TOKEN,
        public_url=url,
        media_folder=str(tmp_path / "media"),
    )
    house = House(tmp_path, "xmpp", "business")
    house.networks["xmpp"].capabilities = structs.replace(
        EVERYTHING, send=structs.replace(EVERYTHING.send, formatting=dict.fromkeys(Format, Level.FULL))
    )
    await house.open_hub()
    await house.start("xmpp")
    adapter = Business()
    settings = EndpointSettings(
        name="business",
        domain=DOMAIN,
        network="business",
        namespaces=(namespace(DOMAIN, "business"),),
        rooms=(),
        retry=QUICK,
        stop_timeout=3.0,
    )
    ledger = f"sqlite:///{tmp_path}/business.db"
    endpoint = Endpoint(settings, adapter, config, house.hub.connect("business"), ledger, KEY, Context(clock=now))
    house.endpoints["business"] = endpoint
    await endpoint.start()
    app = web.Application()
    app.add_routes(adapter.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with Shop(url) as shop:
        yield Street(house, shop)
        await house.stop()
    await runner.cleanup()


async def test_a_customer_and_the_bot_talk(street: Street) -> None:
    customers, shop = street.customers, street.shop
    customers.say(TALK, "Let me have a dram of poison", "m1")

    asked = await shop.next()
    assert (asked.text, asked.from_user.name, asked.from_user.username) == (
        "Let me have a dram of poison",
        JULIET.title(),
        JULIET,
    )
    await shop.do(asked.indicate_typing)
    answer = await shop.do(asked.reply_text, "Such *mortal* drugs I have", quote=True)

    heard = await street.hears(1)
    assert heard.part == text("Such **mortal** drugs I have", "text/markdown;variant=GFM-MIMI")
    assert heard.in_reply_to == "m1"
    await until(lambda: Status.READ in customers.statuses("m1"))
    assert customers.typing[0][2]  # that it stopped within the same second is not told: what was said tells it

    news = [await shop.next(types.MessageStatus) for _ in range(2)]
    assert {each.status for each in news} == {MessageStatusType.SENT, MessageStatusType.DELIVERED}
    assert {each.id for each in news} == {answer.id}


async def test_files_go_both_ways(street: Street) -> None:
    customers, shop = street.customers, street.shop
    customers.files["https://capulet.example/flat.png"] = PNG
    flat = ExternalPart(content_type="image/png", url="https://capulet.example/flat.png", filename="flat.png")
    unit = MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(flat, text("My room")))
    customers.say(TALK, Message(unit), "m1")

    seen = await shop.next()
    assert seen.caption == "My room"
    assert await shop.do(seen.get_media_bytes) == PNG

    await shop.do(seen.reply_image, PNG[::-1], mime_type="image/png")
    await street.hears(1)
    assert customers.taken[0].files == [PNG[::-1]]


async def test_reactions_edits_and_deletions_find_their_message(street: Street) -> None:
    customers, shop = street.customers, street.shop
    customers.say(TALK, "Hold, there is forty ducats", "m1")
    paid = await shop.next()

    await shop.do(paid.react, "🙏")
    thanks = await street.hears(1)
    assert (thanks.part, thanks.in_reply_to) == (text("🙏", disposition=Disposition.REACTION), "m1")
    await shop.do(paid.unreact)
    withdrawn = await street.hears(2)
    assert (withdrawn.part, withdrawn.replaces) == (NullPart(), customers.taken[0].native_id)

    await shop.do(paid.reply_text, "Here it is")
    await street.hears(3)
    given = customers.taken[2].native_id
    customers.say(TALK, Message(text("👍", disposition=Disposition.REACTION), in_reply_to=given), "m2")
    updates: list[object] = [await news(shop)]
    # Only now: what is withdrawn before it was delivered is not delivered at all.
    customers.say(TALK, Message(text("Hold, there are fifty ducats"), replaces="m1"), "m3")
    customers.say(TALK, Message(NullPart(), replaces="m2"), "m4")
    updates += [await news(shop), await news(shop)]
    edited = next(each for each in updates if isinstance(each, types.EditedMessage))
    assert (edited.original_message_id, edited.message.text) == (paid.id, "Hold, there are fifty ducats")
    reactions = [each.reaction for each in updates if isinstance(each, types.Message)]
    assert {each.emoji for each in reactions if each} == {"👍", None}


async def news(shop: Shop) -> object:
    """What the bot hears next, but for statuses."""
    while isinstance(update := await shop.next(object), types.MessageStatus):
        pass
    return update


async def test_nobody_of_that_name_is_told_at_once(street: Street) -> None:
    with pytest.raises(Exception, match="131026"):
        await street.shop.do(street.shop.wa.send_message, to="@romeo:montague.example", text="Hello")


async def test_a_burst_arrives_whole_and_in_order(street: Street) -> None:
    shop = street.shop
    began = time.monotonic()
    sending = [
        asyncio.create_task(shop.do(shop.wa.send_message, to=JULIET, text=f"offer {number}")) for number in range(40)
    ]
    sent = [(await task).id for task in sending]
    await street.hears(40)
    assert len(set(sent)) == 40
    assert sorted(street.customers.texts()) == sorted(f"offer {number}" for number in range(40))
    assert time.monotonic() - began < 20
