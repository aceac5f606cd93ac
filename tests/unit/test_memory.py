"""No table in memory grows for ever: ten thousand and more different keys are driven through each cache."""

from __future__ import annotations

from typing import Any

from adapters.business.identity import Identities
from adapters.contract import Group, Profile
from adapters.matrix import ghosts as ghosts_module
from adapters.matrix.ghosts import Ghosts
from adapters.matrix.people import People
from adapters.matrix.signs import Signs
from bridge.directory import Directory
from bridge.endpoint.offers.early import EarlyAliases, InFlight
from protocol.uri import Address

MANY = 10_500


class Nobody:
    """A router that knows who speaks for whom, a homeserver that says yes, a store that forgets."""

    endpoint = "mimi://bridge.example/d/sea"

    async def identifier_query(self, _uri: str) -> tuple[str, ...]:
        return ("mimi://bridge.example/d/sky",)

    async def call(self, *_: object, **__: object) -> dict[str, Any]:
        return {"displayname": "somebody"}

    async def get(self, _key: str) -> bytes | None:
        return None

    async def put(self, _key: str, _value: bytes) -> None:
        return None

    async def room(self, uri: str) -> Any:
        return type("State", (), {"group_id": uri.encode()})


class Names:
    bot_id = "@bot:a.example"

    def ghost(self, address: Address) -> str:
        return f"@{address.id}:a.example"

    def address(self, _ghost: str) -> None:
        return None

    def owns(self, user: str) -> bool:
        return False


async def test_people_that_an_endpoint_has_met() -> None:
    directory = Directory("bridge.example", Nobody(), now=lambda: 0, remembered=100)  # type: ignore[arg-type]
    for number in range(MANY):
        address = Address("sky", f"p{number}")
        assert directory.address(directory.user(address)) == address
        assert await directory.endpoint_of(address) == "mimi://bridge.example/d/sky"
    assert [len(directory._users), len(directory._addresses), len(directory._endpoints)] == [100, 100, 100]


async def test_second_names_and_sends_under_way() -> None:
    aliases, in_flight = EarlyAliases(), InFlight()
    for number in range(MANY):
        aliases.note(f"first {number}", f"second {number}")
        aliases.settle(f"other {number}", b"id")
        in_flight.end(f"room {number}", in_flight.begin(f"room {number}", offers=True))
    assert len(aliases._aliases) <= 2048
    assert len(aliases._settled) <= 2048
    assert not in_flight._sends
    assert not in_flight._offering


async def test_ghosts_people_and_signs_of_matrix() -> None:
    nobody, names = Nobody(), Names()
    ghosts = Ghosts(nobody, names, nobody)  # type: ignore[arg-type]
    people = People(nobody)  # type: ignore[arg-type]
    signs = Signs(names, people)  # type: ignore[arg-type]
    for number in range(MANY):
        await ghosts.ensure(Profile(Address("sea", f"g{number}"), "G"))
        room = f"!{number}:a.example"
        signs.passed({"content": {}}, "m.room.message", room, f"${number}", ours=False)
        signs.passed({"content": {}}, "m.room.topic", room, f"$t{number}", ours=False)
        list(signs.typing(room, Group(room), {"user_ids": [f"@u{number}:a.example"]}))
    for number in range(2 * MANY):
        await people.profile(f"@u{number}:a.example", "!r:a.example", "@rialto:a.example")
    assert len(ghosts) == ghosts_module._REMEMBERED
    assert [len(signs._typists), len(signs._last), len(signs._before)] == [10_000] * 3
    assert len(people._known) == 20_000


async def test_people_that_a_shop_has_met() -> None:
    identities = Identities(Nobody())  # type: ignore[arg-type]
    for number in range(MANY):
        await identities.of(Address("sea", f"p{number}"))
    assert len(identities._known) == 10_000
