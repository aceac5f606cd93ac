"""What a program gets to hear when it asks for something that cannot be: always the Cloud API's shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData, MultipartWriter

from adapters.business.config import Limits
from adapters.business.media import UPLOAD_LIFETIME
from adapters.contract import Inbound, Message, Permanent
from protocol.content import ExternalPart
from tests.scenarios.business.host import JULIET, PHONE, SECOND_PHONE, WABA, Host
from tests.scenarios.business.receiver import Receiver

MESSAGES = f"/v23.0/{PHONE}/messages"
HELLO = {"messaging_product": "whatsapp", "to": JULIET.address.id, "type": "text", "text": {"body": "Hello"}}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    limits = Limits(json_bytes=20_000, media_bytes=200_000, acknowledge_seconds=0.5)
    async with Host(tmp_path, limits=limits) as host:
        yield host


def _said(body: Any) -> dict[str, Any]:
    """Check the shape of an error and return it."""
    error = body["error"]
    assert isinstance(error["message"], str)
    assert error["message"].startswith(f"(#{error['code']}) ")
    assert error["type"] == "OAuthException"
    assert error["error_data"]["messaging_product"] == "whatsapp"
    assert error["error_data"]["details"]
    assert error["fbtrace_id"]
    return dict(error)


def _but(**changes: Any) -> bytes:
    changed = {key: value for key, value in {**HELLO, **changes}.items() if value is not None}
    return json.dumps(changed).encode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, 100),
        (b"{", 400, 100),
        (b"\xff\xfe", 400, 100),
        (b"[]", 400, 100),
        (b"[" * 5000, 400, 100),
        (b'{"messaging_product":"whatsapp","to":"\\ud800"}', 400, 100),
        (b" " * 20_001, 413, 100),
        (_but(messaging_product=None), 400, 100),
        (_but(to=None), 400, 131008),
        (_but(to=""), 400, 131008),
        (_but(to="999000000000001"), 400, 131026),
        (_but(to="XX.1000000000000000001"), 400, 131026),
        (_but(to="nobody"), 400, 131009),
        (_but(to="@romeo"), 400, 131009),
        (_but(to="a b@c d"), 400, 131009),
        (_but(to=["999"]), 400, 131009),
        (_but(text=None), 400, 131008),
        (_but(text="Hello"), 400, 131009),
        (_but(text={"body": ""}), 400, 131008),
        (_but(text={"body": 7}), 400, 131009),
        (_but(text={"body": "x" * 4097}), 400, 131009),
        (_but(type="hologram"), 400, 131051),
        (_but(type="image", image={}), 400, 131008),
        (_but(type="image", image={"id": "1", "link": "http://x/"}), 400, 131008),
        (_but(type="image", image={"id": "../../etc/passwd"}), 400, 131009),
        (_but(type="image", image={"id": "1", "caption": "x" * 1025}), 400, 131009),
        (_but(type="audio", audio={"id": "1", "caption": "x"}), 400, 131009),
        (_but(type="image", image={"link": "ftp://127.0.0.1/x"}), 400, 131052),
        (_but(type="image", image={"link": "http://127.0.0.1:9/x"}), 400, 131052),
        (_but(type="reaction", reaction={"emoji": "x"}), 400, 131008),
        (_but(type="reaction", reaction={"emoji": "x", "message_id": "wamid.x"}), 400, 131009),
        (_but(context={"message_id": "é"}), 400, 131009),
        (b'{"messaging_product":"whatsapp","status":"read"}', 400, 131008),
        (b'{"messaging_product":"whatsapp","status":"eaten"}', 400, 131009),
        (b'{"messaging_product":"whatsapp","status":"read","message_id":"wamid.0"}', 400, 131009),
    ],
)
async def test_a_bad_message_is_refused_with_the_right_code(
    host: Host, receiver: Receiver, body: bytes, status: int, code: int
) -> None:
    answered, said = await receiver.call("POST", MESSAGES, data=body)
    assert (answered, _said(said)["code"]) == (status, code)
    assert host.of(Inbound) == []
    assert (await receiver.call("POST", MESSAGES, json=HELLO))[0] == 200  # nothing broke


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v23.0/1999/messages", 400, 100),
        ("POST", f"/v23.0/{WABA}/messages", 400, 100),
        ("GET", f"/v23.0/{PHONE}/message_templates", 400, 100),
        ("GET", "/v23.0/424242", 400, 100),
        ("DELETE", "/424242", 400, 100),
        ("POST", f"/v23.0/{PHONE}", 400, 100),
        ("GET", "/v23.0/whatsapp_business/attachments/?mid=1&ext=99999999999&hash=0", 400, 100),
        ("POST", "/v23.0/3001/subscriptions", 400, 100),
        ("POST", "/v23.0/3001/subscriptions?object=whatsapp_business_account&callback_url=x", 400, 100),
        ("GET", f"/v23.0/{PHONE}/messages", 404, 2500),
        ("PUT", f"/v23.0/{PHONE}", 404, 2500),
        ("POST", f"/v23.0/{PHONE}/groups", 404, 2500),
        ("GET", "/v23.0/me", 404, 2500),
        ("GET", "/v23.0", 404, 2500),
        ("GET", f"/{PHONE}/nothing/at/all", 404, 2500),
    ],
)
async def test_what_is_not_there_is_said_to_be_not_there(
    host: Host, receiver: Receiver, method: str, path: str, status: int, code: int
) -> None:
    answered, said = await receiver.call(method, path)
    assert (answered, _said(said)["code"]) == (status, code)


async def test_without_the_token_nothing_opens(host: Host, receiver: Receiver) -> None:
    for headers in ({"Authorization": "Bearer é"}, {"Authorization": "Basic x"}, {"Authorization": ""}):
        for method, path in (("POST", MESSAGES), ("GET", f"/{PHONE}"), ("POST", f"/{PHONE}/media")):
            status, said = await receiver.call(method, path, headers=headers)
            assert (status, _said(said)["code"]) == (401, 190)
    status, _ = await receiver.call("GET", f"/{PHONE}?access_token=a-token-for-tests", headers={"Authorization": ""})
    assert status == 200


async def test_a_message_of_another_conversation_cannot_be_quoted(host: Host, receiver: Receiver) -> None:
    _, answer = await receiver.call("POST", MESSAGES, json={**HELLO, "to": "@romeo:montague.example"})
    quoting = {**HELLO, "context": {"message_id": answer["messages"][0]["id"]}}
    status, said = await receiver.call("POST", MESSAGES, json=quoting)
    assert (status, _said(said)["code"]) == (400, 131009)


async def test_a_message_that_cannot_be_made_durable_is_not_accepted(host: Host, receiver: Receiver) -> None:
    host.deaf = True
    status, said = await receiver.call("POST", MESSAGES, json=HELLO)
    error = _said(said)
    assert (status, error["code"], error["is_transient"]) == (503, 131016, True)


async def test_who_waits_while_the_bridge_stops_is_told_to_come_back(host: Host, receiver: Receiver) -> None:
    host.deaf = True
    request = asyncio.create_task(receiver.call("POST", MESSAGES, json=HELLO))
    await asyncio.sleep(0.1)
    await host.adapter.close()
    assert (await request)[0] == 503
    assert (await receiver.call("POST", MESSAGES, json=HELLO))[0] == 503


async def test_an_upload_says_what_is_wrong_with_it(host: Host, receiver: Receiver, tmp_path: Path) -> None:
    async def upload(form: FormData | bytes, **keywords: Any) -> tuple[int, int]:
        status, said = await receiver.call("POST", f"/v23.0/{PHONE}/media", data=form, **keywords)
        return status, _said(said)["code"]

    assert await upload(b"{}") == (400, 100)
    assert await upload(b"junk", headers={"Content-Type": "multipart/form-data; boundary=x"}) == (400, 100)
    assert await upload(b"junk", headers={"Content-Type": "multipart/form-data"}) == (400, 100)
    assert await upload(_form(product=None)) == (400, 100)
    assert await upload(_form(file=None)) == (400, 100)
    assert await upload(_form(mime="not a type")) == (400, 100)
    assert await upload(_form(file=b"x" * 200_001)) == (400, 131053)
    assert await upload(_form(file=b"x" * 1_000_000)) in {(413, 100), (400, 131053)}
    assert await upload(_form(mime="image/png\r\nX-Injected: yes")) == (400, 100)
    assert await upload(_form(note="x" * 5000)) == (400, 100)
    assert await upload(_form(notes=20)) == (400, 100)
    assert await upload(_form(files=2)) == (400, 100)
    with MultipartWriter("form-data") as nested, MultipartWriter("mixed") as inner:
        inner.append("x")
        nested.append(inner).set_content_disposition("form-data", name="file")
    assert await upload(nested) == (400, 100)
    assert list((tmp_path / "media").iterdir()) == []  # nothing stays of what was refused


async def test_a_file_is_for_its_own_number_and_its_own_time(host: Host, receiver: Receiver) -> None:
    _, uploaded = await receiver.call("POST", f"/v23.0/{PHONE}/media", data=_form(mime="image/png"))
    media_id = uploaded["id"]
    picture = {**HELLO, "type": "image", "image": {"id": media_id}}

    assert (await receiver.call("POST", f"/{SECOND_PHONE}/messages", json=picture))[1]["error"]["code"] == 131009
    assert (await receiver.call("GET", f"/{media_id}?phone_number_id={SECOND_PHONE}"))[0] == 400
    assert (await receiver.call("DELETE", f"/{media_id}?phone_number_id={SECOND_PHONE}"))[0] == 400

    _, described = await receiver.call("GET", f"/{media_id}?phone_number_id={PHONE}")
    assert (described["mime_type"], described["file_size"]) == ("image/png", 4)
    async with receiver.session.get(described["url"]) as response:
        assert (response.status, response.headers["Content-Type"], await response.read()) == (200, "image/png", b"rose")
    async with receiver.session.get(described["url"], headers={"Authorization": ""}) as response:
        assert response.status == 401

    host.now += 301_000
    async with receiver.session.get(described["url"]) as response:
        assert _said(await response.json())["code"] == 100

    host.now += UPLOAD_LIFETIME
    assert (await receiver.call("GET", f"/{media_id}"))[0] == 400
    assert (await receiver.call("POST", MESSAGES, json=picture))[1]["error"]["code"] == 131009


async def test_the_type_of_an_upload_is_guessed_from_its_name(host: Host, receiver: Receiver) -> None:
    form = FormData({"messaging_product": "whatsapp"})
    form.add_field("file", b"rose", filename="rose.png", content_type="application/octet-stream")
    _, uploaded = await receiver.call("POST", f"/v23.0/{PHONE}/media", data=form)
    _, described = await receiver.call("GET", f"/{uploaded['id']}")
    assert described["mime_type"] == "image/png"


async def test_a_defect_of_ours_is_answered_in_the_apis_shape_too(host: Host, receiver: Receiver) -> None:
    async def broken(key: str) -> bytes | None:
        raise OSError(f"the disk is gone, and {key} with it")

    host.store.get = broken  # type: ignore[method-assign]
    status, said = await receiver.call("POST", MESSAGES, json=HELLO)
    assert (status, _said(said)["code"]) == (500, 131000)
    assert "disk" not in json.dumps(said)


async def test_a_callback_needs_a_url_and_a_verify_token(host: Host, receiver: Receiver) -> None:
    for wanted in ({"override_callback_uri": receiver.url}, {"override_callback_uri": "ftp://x", "verify_token": "x"}):
        status, said = await receiver.call("POST", f"/v23.0/{WABA}/subscribed_apps", json=wanted)
        assert (status, _said(said)["code"]) == (400, 100)


async def test_a_file_that_is_gone_before_the_endpoint_fetched_it_fails_for_good(host: Host, tmp_path: Path) -> None:
    part = ExternalPart(content_type="image/png", url="media:424242")
    with pytest.raises(Permanent):
        [chunk async for chunk in host.adapter.fetch(part)]


async def test_a_customers_file_over_the_limit_fails_for_good(host: Host, receiver: Receiver) -> None:
    host.files["cid:1"] = bytes(200_001)
    with pytest.raises(Permanent) as refused:
        await host.says(Message(ExternalPart(content_type="image/png", url="cid:1")))
    assert refused.value.reason == "media-too-large"
    assert receiver.received == []


async def test_a_customers_file_with_a_strange_type_is_just_a_file(host: Host, receiver: Receiver) -> None:
    host.files["cid:1"] = b"?"
    await host.says(Message(ExternalPart(content_type="what\r\never", url="cid:1")))
    document = receiver.values[0]["messages"][0]["document"]
    assert document["mime_type"] == "application/octet-stream"
    _, described = await receiver.call("GET", f"/{document['id']}")
    async with receiver.session.get(described["url"]) as response:
        assert (response.status, await response.read()) == (200, b"?")


async def test_the_token_can_be_asked_about(host: Host, receiver: Receiver) -> None:
    status, body = await receiver.call("GET", "/v21.0/debug_token?input_token=x")
    assert (status, body["data"]["is_valid"], body["data"]["app_id"]) == (200, True, "3001")


async def test_the_app_subscription_can_be_listed_and_dropped(host: Host, receiver: Receiver) -> None:
    wanted = {
        "object": "whatsapp_business_account",
        "callback_url": receiver.url,
        "verify_token": "a-verify-token",
    }
    assert (await receiver.call("POST", "/v19.0/3001/subscriptions", data=wanted))[0] == 200  # a form, as some send
    _, listed = await receiver.call("GET", "/v19.0/3001/subscriptions")
    assert [each["callback_url"] for each in listed["data"]] == [receiver.url]
    _, apps = await receiver.call("GET", f"/v19.0/{WABA}/subscribed_apps")
    assert apps["data"][0]["override_callback_uri"] == receiver.url

    assert (await receiver.call("DELETE", "/v19.0/3001/subscriptions"))[0] == 200
    assert (await receiver.call("DELETE", f"/v19.0/{WABA}/subscribed_apps"))[0] == 200
    assert (await receiver.call("GET", "/v19.0/3001/subscriptions"))[1] == {"data": []}
    assert host.adapter.health()["without_callback"] == ["shop", "annex"]


def _form(
    *,
    product: str | None = "whatsapp",
    file: bytes | None = b"rose",
    mime: str = "application/pdf",
    note: str = "a form needs a field",
    notes: int = 1,
    files: int = 1,
) -> FormData:
    form = FormData()
    for _ in range(notes):
        form.add_field("note", note)
    for _ in range(files):
        if file is not None:
            form.add_field("file", file, filename="rose.bin", content_type="application/octet-stream")
    if product is not None:
        form.add_field("messaging_product", product)
    form.add_field("type", mime)
    return form
