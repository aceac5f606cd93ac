"""Errors, settings, and the place where requests wait."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.business import Business, errors
from adapters.business.config import BusinessConfig
from adapters.business.inbox import Inbox
from adapters.business.webhooks import Callbacks, Flights, sign
from adapters.contract import (
    Account,
    Adapter,
    Direct,
    Group,
    Health,
    Inbound,
    Media,
    Message,
    Permanent,
    Profile,
    Reason,
    Receipts,
    Refused,
    Retry,
    SignedOut,
    StatusUpdate,
    Typing,
    TypingNotice,
    Webhooks,
)
from bridge.config import convert
from bridge.errors import ConfigError
from protocol.capabilities import Feature, Level
from protocol.content import text
from protocol.status import Status
from protocol.uri import Address
from tests.unit.adapters.business.memory import MemoryStore

SHOP, JULIET = Address("business", "shop"), Address("xmpp", "juliet@capulet.example")
TALK = Direct(local=SHOP, peer=JULIET)
SETTINGS: dict[str, Any] = {
    "numbers": [{"shop": "shop", "phone_number_id": "1001", "display_phone_number": "+1 555 0100"}],
    "waba_id": "2001",
    "app_id": "3001",
    "public_url": "http://127.0.0.1:1",
    "media_folder": "media",
    "app_secret": "secret",
    "access_token": "token",
}


# --- errors -----------------------------------------------------------------------------------------------------------


def test_every_refusal_has_a_word_and_a_number_of_its_own() -> None:
    def family(root: type[errors.BusinessError]) -> list[type[errors.BusinessError]]:
        return [root, *(each for child in root.__subclasses__() for each in family(child))]

    everyone = family(errors.BusinessError)
    assert len({each.code for each in everyone}) == len(everyone)
    for each in everyone:
        said = each("details").body("trace")["error"]
        assert (said["code"], said["error_data"]["details"], said["fbtrace_id"]) == (each.number, "details", "trace")


@pytest.mark.parametrize("reason", [*Reason, "something-new"])
def test_every_reason_has_a_code_of_the_cloud_api(reason: str) -> None:
    said = errors.failure(reason, "")
    assert said["code"] in {131000, 131009, 131026, 131047, 131051, 131052, 131053}
    assert (said["code"] == 131000) == (reason in {"uncertain", "something-new"})
    assert said["error_data"]["details"] == reason


@pytest.mark.parametrize(
    ("reason", "number", "status"),
    [
        ("unknown-conversation", 131026, 400),
        ("not-allowed", 131026, 400),
        ("too-large", 100, 413),
        ("invalid", 131009, 400),
        ("something-new", 131009, 400),
    ],
)
def test_a_refusal_of_the_endpoint_is_told_in_the_apis_terms(reason: str, number: int, status: int) -> None:
    refusal = errors.from_refusal(Refused(reason, "why"))
    assert (refusal.number, refusal.status, str(refusal)) == (number, status, "why")


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"waba_id": "abc"}, "digits only"),
        ({"waba_id": "1001"}, "twice"),
        ({"numbers": []}, "there must be one"),
        ({"numbers": [{**SETTINGS["numbers"][0], "shop": ""}]}, "has a shop"),
        ({"numbers": [SETTINGS["numbers"][0]] * 2}, "twice"),
        ({"app_secret": ""}, "app_secret: give either"),
        ({"access_token_file": "x"}, "access_token: give either"),
        ({"public_url": "127.0.0.1"}, "public_url"),
        ({"callback_url": "shop.example"}, "callback_url"),
        ({"colour": "blue"}, "colour"),
        ({"templates": [{"name": "x", "language": "en", "body": "y"}] * 2}, "templates: the same name and language"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert({**SETTINGS, **changes}, BusinessConfig)


def test_the_operator_is_shown_the_table_that_cannot_work() -> None:
    text = 'domain = "x"\n[endpoint.business.account]\nwaba_id = "abc"\n'
    with pytest.raises(ConfigError, match=r"rialto.toml:2: endpoint.business.account: 'abc' is not an id"):
        convert(
            {**SETTINGS, "waba_id": "abc"}, BusinessConfig, text, "rialto.toml", ("endpoint", "business", "account")
        )


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    settings = {**SETTINGS, "access_token": "", "access_token_file": str(tmp_path / "token")}
    config = msgspec.convert(settings, BusinessConfig)
    assert (config.secret("access_token"), config.secret("app_secret")) == ("from-the-file", "secret")


async def test_a_secret_that_cannot_be_read_signs_the_account_out(tmp_path: Path) -> None:
    settings = {**SETTINGS, "app_secret": "", "app_secret_file": str(tmp_path / "none")}
    account = Account("shop", msgspec.convert(settings, BusinessConfig), MemoryStore())
    adapter = Business()
    with pytest.raises(SignedOut):
        await adapter.open(account)
    await adapter.close()  # and again: nothing was opened


# --- the adapter ------------------------------------------------------------------------------------------------------


async def _open(tmp_path: Path, **changes: Any) -> Business:
    settings = {**SETTINGS, "media_folder": str(tmp_path), **changes}
    adapter = Business()
    await adapter.open(Account("shop", msgspec.convert(settings, BusinessConfig), MemoryStore()))
    return adapter


async def test_the_adapter_is_what_the_contract_asks_for(tmp_path: Path) -> None:
    adapter = await _open(tmp_path)
    for wanted in (Adapter, Receipts, Media, Webhooks, Health):
        assert isinstance(adapter, wanted)
    assert not isinstance(adapter, Typing)  # a program is shown nothing of the kind
    await adapter.close()
    await adapter.close()


async def test_programs_of_the_old_school_are_sent_no_edits(tmp_path: Path) -> None:
    for subscriber, level in (("classic", Level.UNSUPPORTED), ("dual", Level.FULL), ("bsuid_only", Level.FULL)):
        adapter = await _open(tmp_path, subscriber=subscriber)
        way = (await adapter.capabilities(TALK)).send
        assert (way.level(Feature.EDIT), way.level(Feature.DELETE)) == (level, level)
        assert way.level(Feature.REACTION) == Level.FULL
        await adapter.close()


@pytest.mark.parametrize("talk", [Group("hall"), Direct(local=Address("business", "none"), peer=JULIET)])
async def test_there_are_conversations_with_our_shops_only(tmp_path: Path, talk: Any) -> None:
    adapter = await _open(tmp_path)
    update = StatusUpdate(conversation=talk, native_id="wamid.", status=Status.READ, at=0)
    with pytest.raises(Permanent):
        await adapter.report(update, "key")
    await adapter.close()


# --- callbacks and calls ----------------------------------------------------------------------------------------------


def test_a_body_is_signed_as_facebook_does() -> None:
    """The worked value is from ``openssl dgst -sha256 -hmac secret``."""
    assert sign(b"{}", "secret") == "sha256=77325902caca812dc259733aacd046b73817372c777b8d95b402647474516e13"


async def test_the_nearest_callback_is_called_and_remembered() -> None:
    store = MemoryStore()
    callbacks = Callbacks(store, "http://configured")
    scopes = ("1001", "2001", "3001")
    assert callbacks.find(scopes) == "http://configured"
    for scope in reversed(scopes):
        await callbacks.register(scope, f"http://{scope}")
        assert callbacks.find(scopes) == f"http://{scope}"

    later = Callbacks(store)
    await later.load()
    assert later.find(scopes) == "http://1001"
    await later.register("1001", "")
    assert (later.find(scopes), later.registered("1001"), later.registered("2001")) == (
        "http://2001",
        "",
        "http://2001",
    )


async def test_a_message_the_program_has_named_is_delivered() -> None:
    flights, forever = Flights(), asyncio.Event()

    async def call() -> None:
        await forever.wait()

    delivery = asyncio.create_task(flights.deliver("wamid.1", call()))
    await asyncio.sleep(0)
    flights.seen("wamid.2")
    flights.seen("wamid.1")
    await asyncio.wait_for(delivery, 1)
    await flights.close()


async def test_a_call_that_fails_is_a_delivery_that_fails() -> None:
    async def call() -> None:
        raise Retry("down")

    with pytest.raises(Retry, match="down"):
        await Flights().deliver("wamid.1", call())


async def test_a_delivery_that_is_broken_off_breaks_off_its_call() -> None:
    broken = asyncio.Event()

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            broken.set()

    delivery = asyncio.create_task(Flights().deliver("wamid.1", call()))
    await asyncio.sleep(0.01)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    await asyncio.wait_for(broken.wait(), 1)


async def test_a_call_that_fails_after_its_message_was_named_hurts_nobody() -> None:
    flights, answer = Flights(), asyncio.Event()

    async def call() -> None:
        await answer.wait()
        raise Retry("down")

    delivery = asyncio.create_task(flights.deliver("wamid.1", call()))
    await asyncio.sleep(0)
    flights.seen("wamid.1")
    await asyncio.wait_for(delivery, 1)
    answer.set()
    await asyncio.sleep(0.01)
    await flights.close()


# --- where requests wait ----------------------------------------------------------------------------------------------


def _said(acknowledge: Any) -> Inbound:
    return Inbound(
        native_id="wamid.1",
        conversation=TALK,
        sender=Profile(address=SHOP),
        message=Message(part=text("Hello")),
        acknowledge=acknowledge,
    )


async def test_a_request_ends_when_its_message_is_durable() -> None:
    inbox = Inbox(5)
    request = asyncio.create_task(inbox.accept(_said))
    event = await anext(inbox.events())
    assert isinstance(event, Inbound)
    assert not request.done()
    event.acknowledge(None)
    await request


async def test_a_request_that_has_gone_takes_its_message_along() -> None:
    inbox = Inbox(0.01)
    with pytest.raises(errors.Unavailable):
        await inbox.accept(_said)
    typing = TypingNotice(conversation=TALK, sender=Profile(address=SHOP), active=True)
    inbox.notice(typing)
    assert await anext(inbox.events()) == typing


async def test_a_word_that_comes_too_late_is_not_an_error() -> None:
    inbox = Inbox(0.05)
    request = asyncio.create_task(inbox.accept(_said))
    event = await anext(inbox.events())
    assert isinstance(event, Inbound)
    with pytest.raises(errors.Unavailable):
        await request
    event.acknowledge(None)
    event.acknowledge(Refused("invalid"))


async def test_who_waits_is_told_when_the_bridge_stops() -> None:
    inbox = Inbox(5)
    request = asyncio.create_task(inbox.accept(_said))
    await asyncio.sleep(0)
    inbox.close()
    with pytest.raises(errors.Unavailable, match="stopping"):
        await request
    with pytest.raises(errors.Unavailable, match="stopping"):
        await inbox.accept(_said)


async def test_a_request_that_is_broken_off_is_not_taken_for_a_stop() -> None:
    request = asyncio.create_task(Inbox(5).accept(_said))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
