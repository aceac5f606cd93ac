"""Whatever happens to a message, it ends: once, in bounded time, and its sender hears how.

A machine says things between two endpoints and lets everything go wrong that can: every outcome of a send, receipts
that come late, twice or against one another, either endpoint stopped and started anew, the same said again, a replay
by the operator, and the wall clock put forward, which is virtual. In the end a day passes with everybody there; then
each message must have come to its end, its sender must have been told each step forward once, and nothing is kept.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import structs

from adapters.contract import Delivery, Permanent, Reason, Retry, Throttled, Unreachable, Unsure
from bridge.endpoint import NotReplayable, RetryLimits
from bridge.endpoint.ledger.contract import State
from protocol.capabilities import Capabilities
from protocol.status import Status
from tests.unit.endpoint.fake_adapter import EVERYTHING, FakeAdapter
from tests.unit.endpoint.house import House, now, until

HOUR = 3600
LIMITS = RetryLimits(first=0.001, longest=0.004, attempts=3, age=24 * HOUR, signed_out=0.002, answer=HOUR)

OUTCOMES = {
    "taken": lambda: None,
    "retry": lambda: Retry("busy"),
    "unreachable": lambda: Unreachable("refused"),
    "throttled": lambda: Throttled(0.002),
    "long throttled": lambda: Throttled(1e12),
    "permanent": lambda: Permanent(Reason.REJECTED, "no"),
    "unsure": lambda: Unsure("lost"),
    "defect": lambda: ZeroDivisionError(),
}
TERMINAL = {Status.SENT, Status.DELIVERED, Status.READ, Status.ERROR}


class Moody(FakeAdapter):
    """An adapter whose next outcomes are known beforehand."""

    moods: list[str]

    async def send(self, delivery: Delivery, key: str) -> Any:
        outcome = OUTCOMES[self.moods.pop(0) if self.moods else "taken"]()
        if outcome is not None:
            raise outcome
        return await self.take(delivery, key)


class Endings(RuleBasedStateMachine):
    """Two endpoints, one conversation, and everything that goes wrong."""

    @initialize(idempotent=st.booleans(), delivers=st.booleans())
    def begin(self, idempotent: bool, delivers: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.said: list[str] = []
        self.by = 0
        self.moods: list[str] = []
        self.house = House(Path(self.folder.name), "sea", "sky")
        self.house.retry = LIMITS
        capabilities: Capabilities = EVERYTHING if idempotent else _once(EVERYTHING)
        self.house.networks["sky"].capabilities = capabilities
        self.house.networks["sky"].delivers = delivers
        self.here = self.house.direct("sea", "anna", "sky", "bert")
        self.there = self.house.direct("sky", "bert", "sea", "anna")
        self.run(self._begin())

    async def _begin(self) -> None:
        await self.house.open_hub()
        await self.start("sea")
        await self.start("sky")

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    def clock(self) -> int:
        return now() + self.by

    async def start(self, name: str) -> None:
        adapter = Moody(self.house.networks[name])
        adapter.moods = self.moods if name == "sky" else []
        await self.house.make(name, adapter, clock=self.clock).start()

    @property
    def up(self) -> bool:
        return "sky" in self.house.endpoints

    @rule(moods=st.lists(st.sampled_from(sorted(OUTCOMES)), max_size=4))
    def say(self, moods: list[str]) -> None:
        self.moods += moods
        native_id = f"m{len(self.said)}"
        self.said.append(native_id)
        sea = self.house.networks["sea"]
        sea.say(self.here, native_id, native_id)
        self.run(until(lambda: native_id in sea.acknowledged, 30))

    @precondition(lambda self: self.up)
    @rule()
    def stop_the_receiver(self) -> None:
        self.run(self.house.endpoints.pop("sky").stop())

    @precondition(lambda self: not self.up)
    @rule()
    def start_the_receiver(self) -> None:
        self.run(self.start("sky"))

    @rule()
    def restart_the_sender(self) -> None:
        self.run(self._restart_the_sender())

    async def _restart_the_sender(self) -> None:
        await self.house.endpoints.pop("sea").stop()
        await self.start("sea")

    @rule(hours=st.sampled_from([1, 5, 26]))
    def time_passes(self, hours: int) -> None:
        self.by += hours * HOUR * 1000

    @precondition(lambda self: self.house.networks["sky"].taken)
    @rule(status=st.sampled_from([Status.DELIVERED, Status.READ, Status.ERROR]), which=st.integers(0, 9))
    def a_receipt_comes(self, status: Status, which: int) -> None:
        taken = self.house.networks["sky"].taken
        self.house.networks["sky"].receipt(self.there, "bert", (taken[which % len(taken)].native_id,), status)
        self.run(asyncio.sleep(0.01))

    @rule()
    def all_is_said_again(self) -> None:
        self.run(self._repeat())

    async def _repeat(self) -> None:
        sea = self.house.endpoints["sea"]
        room = sea.rooms.of(self.here)
        if room is not None:
            await sea.outbox.repeat(room)

    @precondition(lambda self: self.up)
    @rule()
    def the_operator_replays(self) -> None:
        self.run(self._replay())

    async def _replay(self) -> None:
        sky = self.house.endpoints["sky"]
        for row in await sky.ledger.parked(limit=50):
            try:
                await sky.operator.replay(row.mimi_id)
            except NotReplayable:
                return

    @invariant()
    def nothing_is_delivered_twice(self) -> None:
        keys = [taken.key for taken in self.house.networks["sky"].taken] if hasattr(self, "house") else []
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        try:
            self.run(self._end())
        finally:
            self.run(self.house.stop())
            self.loop.close()
            self.folder.cleanup()

    async def _end(self) -> None:
        """A day passes with everybody there, and nothing goes wrong any more."""
        self.moods.clear()
        if not self.up:
            await self.start("sky")
        sea = self.house.endpoints["sea"]
        await asyncio.sleep(0.05)
        self.by += 26 * HOUR * 1000
        while await sea.reports.end_overdue():
            pass
        network = self.house.networks["sea"]
        await until(lambda: all(network.statuses(native_id) for native_id in self.said), 30)
        for native_id in self.said:
            self.check(native_id, network.statuses(native_id))
        room = sea.rooms.of(self.here)
        # What is told is noted a moment later; the whole has a minute.
        while room is not None and await sea.ledger.unanswered(room.uri):
            await asyncio.sleep(0.01)
        while any(row.state is State.QUEUED for row in await sea.operator.messages(limit=1000) if row.source):
            await asyncio.sleep(0.01)

    def check(self, native_id: str, told: list[Status]) -> None:
        """Each step forward is told once; what has failed is told so once, and perhaps that it arrived after all."""
        assert set(told) <= TERMINAL, native_id
        reports = [update for _, update in self.house.networks["sea"].reports if update.native_id == native_id]
        replayed = [update.status for update in reports if update.reason == "replayed"]
        first = told[: told.index(Status.ERROR) + 1] if Status.ERROR in told else told
        assert first == sorted(set(first), key=[Status.SENT, Status.DELIVERED, Status.READ, Status.ERROR].index), told
        if Status.ERROR in told:
            assert Status.DELIVERED not in first, told
            assert told[len(first) :] == [] or replayed, told


def _once(capabilities: Capabilities) -> Capabilities:
    return structs.replace(capabilities, idempotent_send=False)


def test_every_message_ends_once_and_its_sender_hears() -> None:
    run_state_machine_as_test(
        Endings,
        settings=settings(
            max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
