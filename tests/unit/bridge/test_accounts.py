"""Several accounts of one network in one daemon: each has names of its own, and none can take another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import adapters, assembly
from bridge.config import Loaded, parse
from bridge.secrets import create, create_authority
from protocol.uri import Address, account_network, address_of, base_network, namespace, user_uri

SHOP = """
[endpoint.{name}]
adapter = "business"
listen = "127.0.0.1:{port}"
{more}
[endpoint.{name}.account]
waba_id = "2001"
app_id = "3001"
public_url = "http://127.0.0.1:{port}"
media_folder = "{folder}"
app_secret = "s"
access_token = "t"
numbers = [{{ shop = "shop", phone_number_id = "1001", display_phone_number = "4930123456" }}]
"""
COMPONENT = """
[endpoint.{name}]
adapter = "xmpp"
[endpoint.{name}.account]
component = "{jid}"
secret = "s"
"""
HOMESERVER = """
[endpoint.{name}]
adapter = "matrix"
listen = "127.0.0.1:{port}"
[endpoint.{name}.account]
homeserver = "http://127.0.0.1:8008"
server_name = "{server}"
url = "http://127.0.0.1:{port}"
as_token = "a"
hs_token = "h"
id = "{name}"
user_prefix = "{prefix}"
sender_localpart = "{name}"
"""


def loaded(folder: Path, *tables: str) -> Loaded:
    text = 'domain = "bridge.example"\n' + "".join(tables)
    return Loaded(parse(text), folder, text)


def shop(name: str, port: int, more: str = "", folder: str = "") -> str:
    return SHOP.format(name=name, port=port, more=more, folder=folder or f"media-{name}")


def test_the_first_account_keeps_the_plain_name_of_its_network(tmp_path: Path) -> None:
    two = loaded(tmp_path, shop("flowers", 1), shop("books", 2), COMPONENT.format(name="xmpp", jid="r.example"))
    assert not adapters.findings(two)
    assert adapters.address_networks(two) == {"flowers": "business", "books": "business.books", "xmpp": "xmpp"}


def test_default_says_which_account_keeps_it_wherever_it_stands(tmp_path: Path) -> None:
    two = loaded(tmp_path, shop("flowers", 1), shop("books", 2, "default = true"))
    assert adapters.address_networks(two) == {"flowers": "business.flowers", "books": "business"}
    alone = loaded(tmp_path, shop("flowers", 1, "default = false"))
    assert adapters.address_networks(alone) == {"flowers": "business.flowers"}


def test_two_defaults_of_one_network_are_a_finding_with_its_line(tmp_path: Path) -> None:
    two = loaded(tmp_path, shop("flowers", 1, "default = true"), shop("books", 2, "default = true"))
    (finding,) = adapters.findings(two)
    line = two.text.splitlines().index("[endpoint.books]") + 4
    assert finding == f"rialto.toml:{line}: endpoint.books.default: flowers is the default of business already"


@pytest.mark.parametrize(
    ("tables", "thing"),
    [
        ((shop("a", 1, folder="m"), shop("b", 2, folder="m")), "media_folder"),
        (
            (COMPONENT.format(name="a", jid="r.example"), COMPONENT.format(name="b", jid="r.example")),
            "component r.example: endpoint.a has component r.example already",
        ),
        (
            (
                HOMESERVER.format(name="a", port=1, server="hs.example", prefix="rialto_"),
                HOMESERVER.format(name="b", port=2, server="hs.example", prefix="rialto_b_"),
            ),
            "user @rialto_b_* of hs.example: endpoint.a has user @rialto_* of hs.example already",
        ),
        (
            (
                HOMESERVER.format(name="a", port=1, server="hs.example", prefix="a_"),
                HOMESERVER.format(name="a_bot", port=2, server="hs.example", prefix="b_"),
            ),
            "user @a_bot of hs.example: endpoint.a has user @a_* of hs.example already",
        ),
    ],
)
def test_accounts_that_would_take_each_others_names_are_refused(
    tmp_path: Path, tables: tuple[str, ...], thing: str
) -> None:
    (finding,) = adapters.findings(loaded(tmp_path, *tables))
    assert thing in finding


def test_two_homeservers_stand_side_by_side(tmp_path: Path) -> None:
    two = loaded(
        tmp_path,
        HOMESERVER.format(name="home", port=1, server="one.example", prefix="rialto_"),
        HOMESERVER.format(name="work", port=2, server="two.example", prefix="rialto_"),
    )
    assert not adapters.findings(two)


async def test_the_router_knows_who_speaks_for_whom(tmp_path: Path) -> None:
    two = loaded(tmp_path, shop("zebra", 1), shop("ants", 2))
    create(two.data, ("zebra", "ants"))
    create_authority(two.data)
    hub = assembly.hub(two)
    speakers = {name: hub.grants.speakers(user_uri("bridge.example", Address(name, "shop"))) for name in NAMES}
    assert speakers == {
        "business": ("mimi://bridge.example/d/zebra",),
        "business.ants": ("mimi://bridge.example/d/ants",),
    }


NAMES = ("business", "business.ants")


def test_an_accounts_people_have_a_namespace_that_no_other_reaches_into() -> None:
    own = account_network("xmpp", "shop_2")
    assert own == "xmpp.shop_2" and base_network(own) == base_network("xmpp") == "xmpp"
    uri = user_uri("bridge.example", Address(own, "juliet@xmpp.test"))
    assert address_of(uri, "bridge.example") == Address(own, "juliet@xmpp.test")
    assert uri.startswith(namespace("bridge.example", own))
    for other in ("xmpp", "xmpp.shop_22", "xmpp.shop"):
        assert not uri.startswith(namespace("bridge.example", other))
