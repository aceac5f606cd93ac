"""Parts are kept alive one by one: one that fails is started again, with growing waits, and no other notices."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from adapters.contract import SignedOut
from bridge.endpoint.context import Context
from bridge.supervisor import State, Supervisor


class Part:
    """Comes up, fails when it is told to, and notes what becomes of it."""

    def __init__(self, notes: list[str], fails: Exception | None = None) -> None:
        self.notes = notes
        self.fails = fails
        self.ends: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        self.notes.append("start")
        if self.fails is not None:
            raise self.fails

    async def wait(self) -> None:
        await asyncio.shield(self.ends)

    async def stop(self) -> None:
        self.notes.append("stop")
        if not self.ends.done():
            self.ends.cancel()

    def health(self) -> Mapping[str, object]:
        return {"ready": True, "action": ""}


class Stage:
    """A supervisor in virtual time: ``slept`` are its waits, each of which ends when ``wake`` is called."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.slept: list[float] = []
        self.awake = asyncio.Semaphore(0)
        self.notes: dict[str, list[str]] = defaultdict(list)
        self.parts: dict[str, list[Part]] = defaultdict(list)
        self.make: Callable[[str], Exception | None] = lambda _: None
        self.failures: list[tuple[str, Exception]] = []
        self.supervisor = Supervisor(
            self._make,
            Context(clock=lambda: self.now, sleep=self._sleep, random=bytes),
            failed=lambda name, error: self.failures.append((name, error)),
        )

    def _make(self, name: str) -> Part:
        part = Part(self.notes[name], self.make(name))
        self.parts[name].append(part)
        return part

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.awake.acquire()
        self.now += int(seconds * 1000)

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    def health(self, name: str) -> Mapping[str, object]:
        return self.supervisor.health()[name]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.supervisor.stop()


async def test_one_that_fails_is_stopped_and_made_anew_while_the_other_runs_on(stage: Stage) -> None:
    stage.supervisor.add("sea")
    stage.supervisor.add("sky")
    await stage.supervisor.tried()
    stage.parts["sea"][0].ends.set_exception(ValueError("not XML"))
    await stage.settle()
    found = stage.health("sea")
    assert (found["ready"], found["state"], found["action"]) == (False, "waiting", "ValueError: not XML")
    assert (found["since"], found["again"], found["restarts"]) == (1_000_000, 1_000_500, 1)
    stage.awake.release()
    await stage.settle()
    assert stage.health("sea")["ready"]
    assert stage.notes["sea"] == ["start", "stop", "start"], "nothing of the first is left when the second begins"
    assert stage.notes["sky"] == ["start"]


async def test_the_waits_grow_and_begin_again_after_a_while_of_being_well(stage: Stage) -> None:
    stage.make = lambda _: ConnectionRefusedError()
    stage.supervisor.add("sea")
    for _ in range(4):
        await stage.settle()
        stage.awake.release()
    await stage.settle()
    assert stage.slept == [0.5, 1.0, 2.0, 4.0, 8.0]
    stage.make = lambda _: None
    stage.awake.release()
    await stage.settle()
    stage.now += 60_000
    stage.parts["sea"][-1].ends.set_exception(ConnectionResetError())
    await stage.settle()
    assert stage.slept[-1] == 0.5


async def test_one_that_cannot_even_be_made_is_tried_again_and_holds_up_nobody(stage: Stage) -> None:
    def refuse(name: str) -> Exception | None:
        if name == "sea":
            raise ModuleNotFoundError("no adapter")
        return None

    stage.make = refuse
    stage.supervisor.add("sea")
    stage.supervisor.add("sky")
    await asyncio.wait_for(stage.supervisor.tried(), 20)
    assert stage.health("sea")["why"] == "ModuleNotFoundError: no adapter"
    assert stage.health("sky")["state"] == State.RUNNING
    assert [name for name, _ in stage.failures] == ["sea"]


async def test_a_receive_that_is_signed_out_says_what_to_do(stage: Stage) -> None:
    stage.supervisor.add("sea")
    await stage.supervisor.tried()
    stage.parts["sea"][0].ends.set_exception(SignedOut("scan the code"))
    await stage.settle()
    assert stage.health("sea")["action"] == "scan the code"
    assert stage.slept == [30.0]


async def test_a_health_that_raises_is_told_of_that_part_only(stage: Stage) -> None:
    stage.supervisor.add("sea")
    stage.supervisor.add("sky")
    await stage.supervisor.tried()
    stage.parts["sea"][0].health = lambda: 1 / 0  # type: ignore[assignment,return-value,method-assign]
    assert stage.health("sea")["action"] == "its health cannot be asked: ZeroDivisionError"
    assert stage.health("sky")["ready"]


async def test_a_part_that_is_removed_or_restarted_lets_go_of_everything_first(stage: Stage) -> None:
    stage.supervisor.add("sea")
    await stage.supervisor.tried()
    await stage.supervisor.restart("sea")
    await stage.supervisor.tried()
    assert stage.notes["sea"] == ["start", "stop", "start"]
    await stage.supervisor.remove("sea")
    assert stage.notes["sea"] == ["start", "stop", "start", "stop"]
    assert stage.supervisor.health() == {}
