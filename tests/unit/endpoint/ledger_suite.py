"""What every ledger engine must do: subclass ``LedgerSuite`` and give it a ``ledger`` and a ``reopened``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import structs

from bridge.endpoint.ledger.contract import (
    OFFERS_KEPT,
    QUARANTINE_KEPT,
    Change,
    DeliveryKind,
    DeliveryRow,
    Fate,
    InboxRow,
    Ledger,
    MessageRow,
    Native,
    OfferRow,
    OutboxRow,
    QuarantineKind,
    QuarantineRow,
    RoomPhase,
    RoomRow,
    State,
    StatusRow,
    UnansweredRow,
    moves,
)

ROOM = "mimi://bridge.example/r/one"
ONE, TWO = b"\x01" + b"1" * 31, b"\x01" + b"2" * 31


def message(mimi_id: bytes, **changes: object) -> MessageRow:
    row = MessageRow(mimi_id=mimi_id, room=ROOM, source=True, sender="mimi://bridge.example/u/sea~a", at=5)
    return structs.replace(row, **changes)


def delivery(id: int, mimi_id: bytes = ONE, **changes: object) -> DeliveryRow:
    row = DeliveryRow(
        id=id,
        mimi_id=mimi_id,
        room=ROOM,
        kind=DeliveryKind.MESSAGE,
        sender="mimi://bridge.example/u/sea~a",
        content=b"sealed",
        at=5,
    )
    return structs.replace(row, **changes)


def offer(number: int, **changes: object) -> OfferRow:
    row = OfferRow(mimi_id=bytes([number]) * 32, room=ROOM, native_id=f"m{number}", part=b"offered", at=number)
    return structs.replace(row, **changes)


def aside(id: int, **changes: object) -> QuarantineRow:
    row = QuarantineRow(
        id=id, kind=QuarantineKind.EVENT, place=ROOM, item=b"sealed", code="defect", text="it was too much", at=5
    )
    return structs.replace(row, **changes)


class LedgerSuite:
    async def test_records_are_kept_by_space(self, ledger: Ledger) -> None:
        await ledger.commit(Change(records=[("a", "x", b"1"), ("a", "y", b"2"), ("b", "x", b"3"), ("a", "é", b"")]))
        assert await ledger.get("a", "x") == b"1"
        assert await ledger.get("b", "y") is None
        assert await ledger.scan("a") == [("x", b"1"), ("y", b"2"), ("é", b"")]
        assert await ledger.scan("a", "y") == [("y", b"2")]
        await ledger.commit(Change(records=[("a", "x", b"new"), ("a", "y", None)]))
        assert await ledger.scan("a") == [("x", b"new"), ("é", b"")]
        await ledger.commit(Change(forgotten=["a"], records=[("a", "z", b"4")]))
        assert await ledger.scan("a") == [("z", b"4")]
        assert await ledger.scan("b") == [("x", b"3")]

    async def test_a_change_is_written_whole_or_not_at_all(self, ledger: Ledger) -> None:
        bad = Change(records=[("a", "x", b"1"), ("a", "y", "not bytes")])  # type: ignore[list-item]
        try:
            await ledger.commit(bad)
        except Exception:
            pass
        else:
            raise AssertionError("a record that is not bytes was written")
        assert await ledger.get("a", "x") is None

    async def test_commits_keep_the_order_of_their_calls(self, ledger: Ledger) -> None:
        waiting = [ledger.commit(Change(records=[("a", "x", str(number).encode())])) for number in range(50)]
        await asyncio.gather(*waiting)
        assert await ledger.get("a", "x") == b"49"

    async def test_rooms_are_replaced_by_their_uri(self, ledger: Ledger) -> None:
        first = RoomRow(room=ROOM, conversation=b"{}", phase=RoomPhase.WANTED)
        then = structs.replace(first, phase=RoomPhase.MEMBER, name="Square", group_id=b"g", pending=b"staged")
        await ledger.commit(Change(rooms=[first]))
        await ledger.commit(Change(rooms=[then]))
        assert await ledger.rooms() == [then]

    async def test_the_id_map_goes_both_ways(self, ledger: Ledger) -> None:
        await ledger.commit(
            Change(
                natives=[Native("m1", ONE), Native("alias", ONE), Native("waiting")],
                messages=[message(ONE, native_id="m1", excerpt="what was said", reaction=True)],
            )
        )
        assert await ledger.natives(["m1", "alias", "waiting", "unknown"]) == {
            "m1": ONE,
            "alias": ONE,
            "waiting": b"",
        }
        found = await ledger.messages([ONE, TWO])
        assert found == {ONE: message(ONE, native_id="m1", excerpt="what was said", reaction=True)}
        await ledger.commit(Change(natives=[Native("waiting", TWO)], named=[(ONE, "m1-again")]))
        assert (await ledger.natives(["waiting"]))["waiting"] == TWO
        assert (await ledger.messages([ONE]))[ONE].native_id == "m1-again"

    async def test_more_ids_than_one_query_may_name(self, ledger: Ledger) -> None:
        names = [Native(f"n{number}", ONE) for number in range(1700)]
        await ledger.commit(Change(natives=names))
        assert len(await ledger.natives(name.native_id for name in names)) == 1700

    async def test_a_message_is_taken_once_with_its_delivery(self, ledger: Ledger) -> None:
        for id_ in (1, 2):
            await ledger.commit(Change(messages=[message(ONE, source=False)], deliveries=[delivery(id_)]))
        await ledger.commit(Change(messages=[message(ONE), message(TWO)], deliveries=[delivery(3), delivery(4, TWO)]))
        rows = await ledger.deliveries(ROOM, 10)
        assert [(row.id, row.kind) for row in rows] == [
            (1, DeliveryKind.MESSAGE),
            (2, DeliveryKind.AGAIN),
            (3, DeliveryKind.AGAIN),
            (4, DeliveryKind.MESSAGE),
        ]
        assert rows[1].content == b""  # its sender is only told again what became of it
        assert len(await ledger.log(limit=10)) == 2

    async def test_statuses_move_a_message_forward_only(self, ledger: Ledger) -> None:
        await ledger.commit(Change(messages=[message(ONE, native_id="m1")]))
        await ledger.commit(Change(accepted=[(ONE, 7)]))
        steps = [
            StatusRow(mimi_id=ONE, by="b", state=State.READ, at=9),
            StatusRow(mimi_id=ONE, by="c", state=State.DELIVERED, at=8, reason="r", text="t"),
        ]
        for step in steps:
            await ledger.commit(Change(statuses=[step]))
        await ledger.commit(Change(accepted=[(ONE, 99)]))
        assert (await ledger.messages([ONE]))[ONE].state is State.READ
        assert await ledger.states([ONE]) == {(ONE, "b"): State.READ, (ONE, "c"): State.DELIVERED}
        shown = await ledger.show(ONE)
        assert shown is not None
        assert [(step.by, step.state, step.at) for step in shown.timeline] == [
            ("", State.QUEUED, 5),
            ("", State.QUEUED, 7),
            ("b", State.READ, 9),
            ("c", State.DELIVERED, 8),
        ]
        assert (shown.timeline[3].reason, shown.timeline[3].text) == ("r", "t")
        assert await ledger.show(TWO) is None

    async def test_the_log_moves_by_the_same_table_as_the_code(self, ledger: Ledger) -> None:
        for before in State:
            for after in State:
                mimi_id = b"\x01" + bytes([before, after]) + bytes(29)
                await ledger.commit(Change(messages=[message(mimi_id, state=before)]))
                await ledger.commit(Change(statuses=[StatusRow(mimi_id=mimi_id, by="b", state=after, at=1)]))
                now = (await ledger.messages([mimi_id]))[mimi_id].state
                assert now is (after if moves(before, after) else before), (before, after)

    async def test_only_a_replay_takes_a_message_out_of_its_end(self, ledger: Ledger) -> None:
        await ledger.commit(Change(messages=[message(ONE, state=State.FAILED), message(TWO, state=State.READ)]))
        again = [StatusRow(mimi_id=id_, by="", state=State.DELIVERED, at=1) for id_ in (ONE, TWO)]
        await ledger.commit(Change(revived=again))
        states = {id_: row.state for id_, row in (await ledger.messages([ONE, TWO])).items()}
        assert states == {ONE: State.DELIVERED, TWO: State.READ}

    async def test_what_is_unanswered_is_kept_until_it_is_done(self, ledger: Ledger) -> None:
        rows = [
            UnansweredRow(id=id_, mimi_id=mimi_id, room=room, content=b"said", at=1, deadline=deadline)
            for id_, mimi_id, room, deadline in ((8, TWO, ROOM, 50), (7, ONE, ROOM, 90), (9, bytes(32), "other", 10))
        ]
        await ledger.commit(Change(messages=[message(ONE), message(TWO)], unanswered=rows))
        assert [row.id for row in await ledger.unanswered(ROOM)] == [7, 8]  # in the order in which it was said
        assert [row.id for row in await ledger.overdue(50, 10)] == [9, 8]
        await ledger.commit(Change(owed=[(ONE, ("a", "b"))]))
        answer = StatusRow(mimi_id=ONE, by="u", state=State.SENT, at=2, who="a")
        await ledger.commit(Change(noted=[answer]))
        fates = await ledger.fates([ONE, TWO, bytes(32)])
        assert fates[ONE] == Fate(message=message(ONE), steps=(answer,), owed=("a", "b"))
        assert fates[TWO].owed == ()
        assert set(fates) == {ONE, TWO}
        await ledger.commit(Change(unanswered_done=[ONE]))
        assert (await ledger.fates([ONE]))[ONE].owed is None
        assert await ledger.last_id() == 9

    async def test_the_log_is_listed_newest_first(self, ledger: Ledger) -> None:
        await ledger.commit(Change(messages=[message(ONE), message(TWO, room="other")]))
        await ledger.commit(Change(statuses=[StatusRow(mimi_id=ONE, by="", state=State.FAILED, at=1, reason="why")]))
        assert [row.mimi_id for row in await ledger.log(limit=5)] == [TWO, ONE]
        assert [row.mimi_id for row in await ledger.log(limit=1)] == [TWO]
        assert [row.mimi_id for row in await ledger.log(limit=5, room=ROOM)] == [ONE]
        assert [row.mimi_id for row in await ledger.log(limit=5, before=TWO)] == [ONE], "the next page"
        assert not await ledger.log(limit=5, before=ONE)
        assert not await ledger.log(limit=5, before=b"unknown"), "nothing comes before what is not there"
        (failed,) = await ledger.log(limit=5, state=State.FAILED)
        assert (failed.mimi_id, failed.reason) == (ONE, "why")

    async def test_the_inbox_keeps_the_order_of_a_conversation(self, ledger: Ledger) -> None:
        rows = [
            InboxRow(id=number, conversation="ab"[number % 2], event=bytes([number]), at=number) for number in range(6)
        ]
        await ledger.commit(Change(inbox=rows))
        assert await ledger.inbox("a", 2) == [rows[0], rows[2]]
        assert await ledger.inbox_conversations() == {"a": 3, "b": 3}
        await ledger.commit(Change(inbox_done=[0, 2, 4]))
        assert await ledger.inbox("a", 5) == []
        assert await ledger.inbox_conversations() == {"b": 3}

    async def test_the_outbox_is_replaced_and_emptied_by_id(self, ledger: Ledger) -> None:
        rows = [OutboxRow(id=number, room=ROOM, content=b"c", at=1, mimi_id=ONE) for number in range(1, 6)]
        await ledger.commit(Change(outbox=rows))
        assert [row.id for row in await ledger.outbox(2, 2)] == [3, 4]
        renewed = structs.replace(rows[0], epoch=4, body=b"ciphertext")
        await ledger.commit(Change(outbox=[renewed], outbox_done=[2, 3]))
        assert await ledger.outbox_rows([5, 1, 2]) == [renewed, rows[4]]
        assert await ledger.last_id() == 5

    async def test_deliveries_wait_in_order_and_park_aside(self, ledger: Ledger) -> None:
        rows = [delivery(number, bytes([number]) * 32) for number in (7, 8, 9)]
        rows.append(delivery(10, b"", kind=DeliveryKind.STATUS, room="other"))
        await ledger.commit(Change(deliveries=rows))
        assert await ledger.deliveries(ROOM, 2) == rows[:2]
        assert await ledger.delivery_rooms() == {ROOM: 3, "other": 1}
        parked = structs.replace(
            rows[0], parked=True, plan=b"p", part=2, attempts=3, next_at=4, sending=True, reason="r", text="t"
        )
        await ledger.commit(Change(deliveries=[parked], deliveries_done=[9]))
        assert await ledger.deliveries(ROOM, 9) == [rows[1]]
        assert await ledger.parked(limit=5) == [parked]
        assert await ledger.last_id() == 10

    async def test_offers_are_kept_by_room_newest_first(self, ledger: Ledger) -> None:
        first, second = offer(1), offer(2, at=9, native_id="n")
        await ledger.commit(Change(offers=[first, second, offer(3, room="other", open=False)]))
        assert await ledger.offers(ROOM) == [second, first]
        assert await ledger.offers("nowhere") == []
        assert await ledger.offer_rooms() == {ROOM: True, "other": False}

    async def test_offers_close_and_go_before_new_ones_come(self, ledger: Ledger) -> None:
        await ledger.commit(Change(offers=[offer(1), offer(2), offer(3, room="other")]))
        await ledger.commit(Change(offers_gone=[offer(1).mimi_id], offers_closed=[ROOM], offers=[offer(4)]))
        assert await ledger.offers(ROOM) == [offer(4), offer(2, open=False)]
        assert await ledger.offers("other") == [offer(3, room="other")]
        again = offer(2, part=b"another", open=False)
        await ledger.commit(Change(offers_closed=[ROOM], offers=[again]))
        assert await ledger.offers(ROOM) == [again, offer(4, open=False)]
        assert await ledger.offer_rooms() == {ROOM: False, "other": True}

    async def test_of_many_offers_the_newest_few_are_kept(self, ledger: Ledger) -> None:
        await ledger.commit(Change(offers=[offer(0, room="other")]))
        for number in range(1, OFFERS_KEPT + 4):
            await ledger.commit(Change(offers=[offer(number)]))
        kept = [offer(number) for number in range(OFFERS_KEPT + 3, 3, -1)]
        assert await ledger.offers(ROOM) == kept
        assert len(await ledger.offers("other")) == 1

    async def test_everything_is_there_after_reopening(
        self, ledger: Ledger, reopened: Callable[[], Awaitable[Ledger]]
    ) -> None:
        await ledger.commit(Change(records=[("a", "x", b"1")], messages=[message(ONE)], deliveries=[delivery(1)]))
        again = await reopened()
        assert await again.get("a", "x") == b"1"
        assert await again.messages([ONE]) == {ONE: message(ONE)}
        assert await again.deliveries(ROOM, 5) == [delivery(1)]

    async def test_what_is_put_aside_can_be_found_counted_and_dropped(self, ledger: Ledger) -> None:
        rows = [aside(1), aside(2, kind=QuarantineKind.DELIVERY), aside(3, raw=True, attempts=2)]
        await ledger.commit(Change(quarantine=rows))
        assert await ledger.quarantine(limit=2) == rows[:0:-1]
        assert await ledger.quarantine(limit=9, kind=QuarantineKind.EVENT) == [rows[2], rows[0]]
        assert await ledger.quarantined(2) == rows[1]
        assert await ledger.quarantine_counts() == {QuarantineKind.EVENT: 2, QuarantineKind.DELIVERY: 1}
        assert await ledger.last_id() == 3
        await ledger.commit(Change(quarantine=[aside(1, attempts=7)], quarantine_done=[2]))
        assert [(row.id, row.attempts) for row in await ledger.quarantine(limit=9)] == [(3, 2), (1, 7)]

    async def test_what_is_put_aside_has_an_end_in_number_and_in_time(self, ledger: Ledger) -> None:
        await ledger.commit(Change(quarantine=[aside(0, kind=QuarantineKind.ROOM, at=1)]))
        await ledger.commit(Change(quarantine=[aside(n, at=n) for n in range(1, QUARANTINE_KEPT + 4)]))
        counts = await ledger.quarantine_counts()
        assert counts == {QuarantineKind.EVENT: QUARANTINE_KEPT, QuarantineKind.ROOM: 1}, "of each kind so many"
        await ledger.commit(Change(quarantine_over=QUARANTINE_KEPT + 3))
        assert [row.at for row in await ledger.quarantine(limit=9)] == [QUARANTINE_KEPT + 3]
