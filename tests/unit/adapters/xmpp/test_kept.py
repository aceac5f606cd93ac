"""What adapters keep of one person has an end, and what was refused is not kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest

from adapters.contract import Refused
from adapters.xmpp import presence, xml
from adapters.xmpp.presence import Contacts
from adapters.xmpp.reactions import Reactions
from tests.unit.adapters.business.memory import MemoryStore
from tests.unit.adapters.xmpp.test_inbox import House


async def test_one_person_has_so_many_contacts_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "MAX_CONTACTS", 2)
    posted: list[ET.Element] = []
    store = MemoryStore()
    contacts = Contacts(cast("Any", SimpleNamespace(post=posted.append, new_id=lambda: "1")), store)

    async def asks(kind: str, number: int) -> str | None:
        posted.clear()
        ghost = f"business~shop{number}@rialto.test"
        await contacts.take(ET.Element(xml.PRESENCE, {"type": kind}), ghost, "juliet@xmpp.test")
        return posted[0].get("type")

    assert [await asks("subscribe", n) for n in (1, 2, 2, 3)] == ["subscribed"] * 3 + ["unsubscribed"]
    assert len(await store.scan("subscription/")) == 2
    assert await asks("unsubscribe", 1) == "unsubscribed"
    assert await asks("subscribe", 3) == "subscribed"
    again = Contacts(cast("Any", SimpleNamespace(post=posted.append, new_id=lambda: "1")), store)
    await again.load()
    contacts = again
    assert await asks("subscribe", 4) == "unsubscribed"


async def test_a_reaction_that_was_refused_is_remembered_by_nobody() -> None:
    house = House()
    reactions: Reactions = house.inbox._reactions
    event = await house.chat(
        "<reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>❤️</reaction></reactions>", id_="1"
    )
    assert len(reactions._sets) == 1
    event.acknowledge(Refused("invalid"))  # type: ignore[union-attr]
    assert not reactions._sets
