"""What is wrong is said to whoever sent it, in their network's own way; everybody else talks on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from adapters.xmpp.names import ghost_jid
from protocol.uri import Address
from tests.servers.prosody import COMPONENT
from tests.stage.matrix import MatrixPerson
from tests.stage.person import Did
from tests.stage.world import API_TOKEN, HS_TOKEN, PHONE_ID, World
from tests.stage.xmpp import XmppPerson

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with World(tmp_path_factory.mktemp("world"), shop=False, verona=False) as world:
        await world.xmpp_person("Juliet")
        await world.matrix_person("Romeo")
        yield world
        await _still_talk(world, "at the end")


def people(world: World) -> tuple[XmppPerson, MatrixPerson]:
    juliet, romeo = world.people["Juliet"], world.people["Romeo"]
    assert isinstance(juliet, XmppPerson)
    assert isinstance(romeo, MatrixPerson)
    return juliet, romeo


async def _still_talk(world: World, word: str) -> None:
    juliet, romeo = people(world)
    await juliet.say(juliet.addresses["Romeo"], word)
    await romeo.wait(lambda n: n.text == word, f"Juliet saying {word!r}")


async def test_juliet_writes_to_nobody(world: World) -> None:
    juliet, _ = people(world)
    sent = await juliet.say(f"nobody@{COMPONENT}", "Is there anybody?")
    await juliet.wait(lambda n: n.did is Did.ERROR and n.target == sent, "an error for a name that is none")


async def test_juliet_writes_to_a_matrix_user_who_does_not_exist(world: World) -> None:
    juliet, _ = people(world)
    sent = await juliet.say(ghost_jid(Address("matrix", "@mercutio:hs.test"), COMPONENT), "Good Mercutio!")
    told = await juliet.wait(lambda n: n.did is Did.ERROR and n.target == sent, "that Mercutio is unknown")
    assert told.text
    await _still_talk(world, "after Mercutio")


async def test_juliet_writes_to_a_network_that_is_not_there(world: World) -> None:
    juliet, _ = people(world)
    sent = await juliet.say(ghost_jid(Address("telegraph", "verona-1"), COMPONENT), "STOP")
    await juliet.wait(lambda n: n.did is Did.ERROR and n.target == sent, "that there is no such network")


async def test_romeo_writes_to_a_ghost_of_nobody(world: World) -> None:
    _, romeo = people(world)
    sent = await romeo.say("@rialto_xmpp_nobody=40xmpp.test:hs.test", "Who is there?")
    told = await romeo.wait(lambda n: n.did is Did.ERROR, "that nobody is there")
    assert told.target in ("", sent)


async def test_a_homeserver_with_the_wrong_token_is_refused(world: World) -> None:
    _, romeo = people(world)
    room = romeo.known and next(iter(romeo.client.rooms), "!room:hs.test")
    forged = {
        "events": [
            {
                "type": "m.room.message",
                "sender": "@romeo:hs.test",
                "room_id": room,
                "event_id": "$forged",
                "content": {"msgtype": "m.text", "body": "forged"},
            }
        ]
    }
    url = f"http://127.0.0.1:{world.ports['matrix']}/_matrix/app/v1/transactions/forged"
    for token, status in (("wrong", 403), ("", 401)):
        answered, body = await _http("PUT", url, token, json.dumps(forged))
        assert answered == status
        assert body["errcode"]
    answered, _ = await _http("PUT", url, HS_TOKEN, '{"events": [')
    assert answered == 400
    await _still_talk(world, "after the forged transaction")


@pytest.mark.parametrize(
    ("token", "body", "status", "code"),
    [
        ("wrong", "{}", 401, 190),
        (API_TOKEN, "{", 400, 100),
        (API_TOKEN, '{"messaging_product": "whatsapp"}', 400, None),
        (
            API_TOKEN,
            '{"messaging_product": "whatsapp", "to": "999000000000000", "type": "text", "text": {"body": "x"}}',
            400,
            None,
        ),
    ],
)
async def test_a_program_that_asks_wrongly_gets_the_cloud_apis_error(
    world: World, token: str, body: str, status: int, code: int | None
) -> None:
    url = f"http://127.0.0.1:{world.ports['business']}/v23.0/{PHONE_ID}/messages"
    answered, error = await _http("POST", url, token, body)
    assert answered == status
    assert set(error["error"]) >= {"message", "type", "code", "fbtrace_id"}
    assert code in (None, error["error"]["code"])


async def test_a_router_token_opens_nothing_of_the_operators(world: World) -> None:
    data = world.folder / "data"
    url = f"http://127.0.0.1:{world.ports['http']}/v1/endpoints"
    assert (await _http("GET", f"{url}/xmpp/rooms", (data / "operator.token").read_text().strip()))[0] == 200
    for token in (data / "tokens").iterdir():
        assert (await _http("GET", f"{url}/xmpp/rooms", token.read_text().strip()))[0] == 401


async def test_the_logs_hold_nothing_that_was_said_and_no_secret(world: World) -> None:
    await _still_talk(world, "wherefore art thou in the logs")
    logs = Path(world.folder / "rialto-run.log").read_text()
    assert "daemon.ready" in logs
    secrets = [path.read_text().strip() for path in (world.folder / "data" / "tokens").iterdir()]
    secrets += [(world.folder / "data" / name).read_text().strip() for name in ("ledger.key", "operator.token")]
    secrets += [API_TOKEN, HS_TOKEN, world.prosody.secret]
    for word in ("wherefore art thou in the logs", "Is there anybody", "Good Mercutio", *secrets):
        assert word not in logs


async def _http(method: str, url: str, token: str, body: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with aiohttp.ClientSession() as http, http.request(method, url, data=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)
