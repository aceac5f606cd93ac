"""What was said leaves the ledgers: at once when its sender deletes it, and in time when nobody does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import structs

from adapters.contract import Direct, Message, Retry
from bridge.endpoint.endpoint import Endpoint
from bridge.endpoint.ledger import sealing
from bridge.endpoint.ledger.contract import Change, State
from bridge.endpoint.ledger.retention import DAY, Keep
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from protocol import commerce
from protocol.capabilities import Feature, Level, Way
from protocol.commerce import Option, QuickReplies
from protocol.content import NullPart, text
from protocol.status import Status
from tests.unit.endpoint.fake_adapter import EVERYTHING
from tests.unit.endpoint.house import KEY, House, logged, now, until
from tests.unit.endpoint.ledger_suite import ONE, TWO, delivery, message

PIN = "my PIN is 4711"


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


def opened(file: Path) -> Iterator[bytes]:
    """Everything that the owner of the ledger key can read in a ledger: each value, sealed or not."""
    connection = sqlite3.connect(file)
    ledger_id = connection.execute("SELECT id FROM ledger").fetchone()[0]
    own = Sealer(KEY, lambda n: bytes(n), ledger_id)
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in connection.execute(f"SELECT * FROM {table}"):
            for value in row:
                yield from _readable(own, value)
    connection.close()


def _readable(sealer: Sealer, value: object) -> Iterator[bytes]:
    if isinstance(value, str):
        yield value.encode()
    elif isinstance(value, bytes):
        yield value
        if value[1:5] == sealer.key_id:  # the row's identity is authenticated, not needed to decrypt: CTR will do
            yield _decrypted(sealer, value)


def _decrypted(sealer: Sealer, value: bytes) -> bytes:
    """Decrypt without the check of the tag, as a thief would."""
    key = sealing._derive(KEY, sealer.ledger_id, b"rialto ledger seal 2") if value[:1] == b"\x02" else KEY
    counter = value[5:17] + b"\x00\x00\x00\x02"
    return Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor().update(value[17:-16])


def says(folder: Path, name: str, words: str) -> bool:
    """Whether an endpoint's ledger still says something, to whoever holds its key; or its files do, to everybody."""
    raw = b"".join(path.read_bytes() for path in folder.glob(f"{name}.db*"))
    assert words.encode() not in raw
    return any(words.encode() in value for value in opened(folder / f"{name}.db"))


async def both_stopped(house: House) -> None:
    for name in ("sea", "sky"):
        if name in house.endpoints:
            await house.endpoints.pop(name).stop()


async def test_the_search_finds_what_is_there(house: House, here: Direct) -> None:
    await house.start()
    house.networks["sea"].say(here, PIN, "m1")
    await until(lambda: house.networks["sea"].statuses("m1"))
    await both_stopped(house)
    assert says(house.folder, "sea", PIN)
    assert says(house.folder, "sky", PIN)


async def test_a_deleted_message_is_gone_at_both_ends_with_its_edits(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, PIN, "m1")
    sea.say(here, Message(text(PIN + "2"), replaces="m1"), "m2")
    sea.say(here, "something else", "m3")
    await until(lambda: len(sky.taken) == 3)
    sea.say(here, Message(NullPart(), replaces="m1"), "m4")
    await until(lambda: len(sky.taken) == 4)
    await until(lambda: sea.statuses("m4"))
    await both_stopped(house)
    for name in ("sea", "sky"):
        assert not says(house.folder, name, PIN)
        assert says(house.folder, name, "something else")


async def test_somebody_elses_deletion_takes_nothing(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, PIN, "m1")
    await until(lambda: len(sky.taken) == 1)
    there = house.direct("sky", "bert", "sea", "anna")
    sky.say(there, Message(NullPart(), replaces="sky-1"), "n1")
    await until(lambda: sky.statuses("n1"))
    assert sky.statuses("n1") == [Status.ERROR]
    await both_stopped(house)
    assert says(house.folder, "sea", PIN)
    assert says(house.folder, "sky", PIN)


async def test_what_was_not_delivered_yet_is_gone_too_and_is_never_shown(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "Hello", "m0")
    await until(lambda: sea.statuses("m0"))
    await house.endpoints.pop("sky").stop()
    sea.say(here, PIN, "m1")
    sea.say(here, "and this?", "m2")
    sea.say(here, Message(NullPart(), replaces="m1"), "m3")
    await until(lambda: "m3" in sea.acknowledged)
    await house.endpoints["sea"].outbox.idle()
    await house.start("sky")
    await until(lambda: sea.statuses("m3"))
    assert sky.texts() == ["Hello", "and this?"]
    assert sea.statuses("m1") == [Status.ERROR]
    failed = next(update for _, update in sea.reports if update.native_id == "m1")
    assert failed.reason == "deleted"
    await both_stopped(house)
    assert not says(house.folder, "sea", PIN)
    assert not says(house.folder, "sky", PIN)


async def test_a_send_that_is_tried_again_does_not_write_a_deleted_text_anew(house: House, here: Direct) -> None:
    house.retry = structs.replace(house.retry, attempts=1000)
    await house.start()
    sea = house.networks["sea"]
    tried = [0]

    def later(delivery: object, key: str) -> Retry | None:
        tried[0] += 1
        return Retry("not now") if PIN in str(delivery) else None

    house.adapters["sky"].script = later
    sea.say(here, PIN, "m1")
    await until(lambda: tried[0] > 1)
    sea.say(here, Message(NullPart(), replaces="m1"), "m2")
    await until(lambda: "m2" in sea.acknowledged)
    heard = house.endpoints["sky"].hearing
    await until(lambda: heard.heard >= 2)
    before = tried[0]
    await until(lambda: tried[0] > before + 2)
    await both_stopped(house)
    assert not says(house.folder, "sky", PIN)
    assert not says(house.folder, "sea", PIN)


async def test_what_never_left_is_gone_too_and_never_leaves(house: House, here: Direct) -> None:
    await house.start("sea")
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, PIN, "m1")
    sea.say(here, "and this?", "m2")
    sea.say(here, Message(NullPart(), replaces="m1"), "m3")
    await until(lambda: "m3" in sea.acknowledged)
    await house.endpoints.pop("sea").stop()
    assert not says(house.folder, "sea", PIN)
    await house.start()
    await until(lambda: sea.statuses("m1") and sea.statuses("m2") and sea.statuses("m3"))
    assert sky.texts() == ["and this?"]
    assert next(update for _, update in sea.reports if update.native_id == "m1").reason == "deleted"
    await both_stopped(house)
    assert not says(house.folder, "sky", PIN)


async def test_what_was_offered_goes_with_its_message(house: House, here: Direct) -> None:
    sky = house.networks["sky"]
    words = Way(features={Feature.DELETE: Level.FULL, Feature.REPLY: Level.FULL}, files=EVERYTHING.send.files)
    sky.capabilities = structs.replace(EVERYTHING, send=words)
    await house.start()
    sea = house.networks["sea"]
    request = QuickReplies(body=PIN, options=(Option(id="y", title="Yes"), Option(id="n", title="No")))
    sea.say(here, Message(commerce.message(request)), "m1")
    await until(lambda: sea.statuses("m1"))
    sea.say(here, Message(NullPart(), replaces="m1"), "m2")
    await until(lambda: sea.statuses("m2"))
    await both_stopped(house)
    assert not says(house.folder, "sky", PIN)
    assert not says(house.folder, "sea", PIN)


# --- in time ----------------------------------------------------------------------------------------------------------


async def _pruned(endpoint: Endpoint, days: float, keep: Keep = Keep()) -> int:  # noqa: B008  frozen
    return await endpoint.ledger.prune(keep, now() + int(days * DAY))


async def test_words_are_forgotten_after_days_and_the_rest_after_months(house: House, here: Direct) -> None:
    await house.start()
    sea = house.networks["sea"]
    sea.say(here, PIN, "m1")
    await until(lambda: sea.statuses("m1"))
    for name in ("sea", "sky"):
        endpoint = house.endpoints[name]
        assert await _pruned(endpoint, 6) == 0
        await _pruned(endpoint, 8)
        row = (await endpoint.operator.messages(limit=1))[0]
        assert (row.excerpt, row.state) == ("", State.DELIVERED)
        assert len((await endpoint.operator.message(row.mimi_id)).timeline) > 1  # type: ignore[union-attr]
        await _pruned(endpoint, 91)
        assert not await endpoint.operator.messages(limit=1)
        assert await _pruned(endpoint, 91) == 0
    assert not await house.endpoints["sea"].ledger.natives(["m1"])
    await both_stopped(house)
    assert not says(house.folder, "sea", PIN)
    assert not says(house.folder, "sky", PIN)


async def test_an_old_message_can_be_deleted_while_its_row_lives(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, PIN, "m1")
    await until(lambda: sea.statuses("m1"))
    for name in ("sea", "sky"):
        await _pruned(house.endpoints[name], 80)
    sea.say(here, Message(NullPart(), replaces="m1"), "m2")
    await until(lambda: len(sky.taken) == 2)
    assert sky.taken[-1].message.replaces == "sky-1"


async def test_what_still_waits_is_kept_whatever_its_age(tmp_path: Path) -> None:
    ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", Sealer(KEY, lambda n: bytes(n)))
    waiting = delivery(1, mimi_id=ONE)
    parked = delivery(2, mimi_id=TWO, parked=True, at=5)
    await ledger.commit(Change(messages=[message(ONE), message(TWO)], deliveries=[waiting, parked]))
    assert await ledger.prune(structs.replace(Keep(), parked=10_000 * DAY), 1000 * DAY) == 0
    assert set(await ledger.messages([ONE, TWO])) == {ONE, TWO}
    assert await ledger.prune(Keep(), 1000 * DAY) == 2, "what is parked has an end too, and its message with it"
    assert set(await ledger.messages([ONE, TWO])) == {ONE}
    await ledger.commit(Change(deliveries_done=[1]))
    assert await ledger.prune(Keep(), 1000 * DAY) == 1
    await ledger.close()


async def test_much_is_forgotten_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", Sealer(KEY, lambda n: bytes(n)))
    ids = [bytes([1]) + number.to_bytes(31, "big") for number in range(1200)]
    await ledger.commit(Change(messages=[message(mimi_id, excerpt="said") for mimi_id in ids]))
    pieces = []
    run = ledger._database.writer.run

    async def counted(closure):
        result = await run(closure)
        pieces.append(result)
        return result

    monkeypatch.setattr(ledger._database.writer, "run", counted)
    await ledger.prune(Keep(), 8 * DAY)
    assert [piece for piece in pieces if piece] == [500, 500, 200]
    await ledger.close()


async def test_an_endpoint_forgets_by_itself(house: House, here: Direct) -> None:
    house.make("sea", keep=Keep(excerpts=0))
    await house.endpoints["sea"].start()
    await house.start("sky")
    sea = house.networks["sea"]
    sea.say(here, PIN, "m1")
    await until(lambda: sea.statuses("m1"))
    await house.endpoints.pop("sea").stop()
    house.make("sea", keep=Keep(excerpts=0))
    await house.endpoints["sea"].start()
    row = await logged(house.endpoints["sea"], State.DELIVERED)
    while row.excerpt:
        row = await logged(house.endpoints["sea"], State.DELIVERED)
