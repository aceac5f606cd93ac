"""The seam between the journal and memory: where a message could be heard twice, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from bridge.router.contract import Kind, Notification
from bridge.router.fanout import KEPT_PASSING, FanOut
from bridge.router.journal import Fanned
from tests.unit.router.doubles import endpoint, room_uri

MATRIX = endpoint("matrix")


def note(position: int) -> Notification:
    return Notification(position, room_uri("balcony"), position, Kind.APPLICATION, 0, endpoint("xmpp"), b"x", 0)


class StagedJournal:
    """A journal that has something else happen while it is being read."""

    def __init__(self) -> None:
        self.fan_out = FanOut(self)  # type: ignore[arg-type]  # it only fetches
        self.reads = 0
        self.during: list[Callable[[], None]] = []
        self.kept: list[Notification] = []

    async def fetch(self, endpoint: str, after: int, limit: int) -> Sequence[Notification]:
        self.reads += 1
        snapshot = [kept for kept in self.kept if kept.position > after][:limit]
        if self.during:
            self.during.pop(0)()
        return snapshot

    def keep(self, *positions: int) -> None:
        self.kept += [note(position) for position in positions]

    def tell(self, *positions: int) -> None:
        self.fan_out.deliver([Fanned(note(position), (MATRIX,)) for position in positions])


@pytest.fixture
def journal() -> StagedJournal:
    return StagedJournal()


async def hear(batches: AsyncIterator[Sequence[Notification]], count: int) -> list[int]:
    heard: list[int] = []
    while len(heard) < count:
        heard += [notification.position for notification in await asyncio.wait_for(anext(batches), 5)]
    return heard


async def test_what_the_journal_showed_is_not_told_again_when_its_news_comes_late(journal: StagedJournal) -> None:
    journal.keep(1)
    journal.during = [lambda: None, lambda: (journal.keep(2), journal.tell(1, 2))]
    batches = journal.fan_out.listen(MATRIX, 0)
    assert await hear(batches, 2) == [1, 2]
    await batches.aclose()


async def test_what_comes_between_two_looks_at_the_journal_is_not_lost(journal: StagedJournal) -> None:
    journal.during = [lambda: (journal.keep(1), journal.tell(1)), lambda: (journal.keep(2), journal.tell(2))]
    batches = journal.fan_out.listen(MATRIX, 0)
    first = await hear(batches, 1)
    journal.keep(3)
    journal.tell(3)
    assert first + await hear(batches, 1) == [1, 3]
    await batches.aclose()


async def test_a_listener_that_keeps_up_does_not_touch_the_journal(journal: StagedJournal) -> None:
    batches = journal.fan_out.listen(MATRIX, 0)
    listening = asyncio.create_task(hear(batches, 50))
    await asyncio.sleep(0.05)
    for position in range(1, 51):
        journal.tell(position)
        await asyncio.sleep(0)
    assert await listening == list(range(1, 51))
    assert journal.reads == 1
    await batches.aclose()


async def test_a_quiet_listener_sleeps(journal: StagedJournal) -> None:
    batches = journal.fan_out.listen(MATRIX, 0)
    listening = asyncio.create_task(anext(batches))
    await asyncio.sleep(0.1)
    assert journal.reads == 1
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await batches.aclose()


async def test_who_hung_up_is_told_nothing_more(journal: StagedJournal) -> None:
    journal.keep(1)
    batches = journal.fan_out.listen(MATRIX, 0)
    await hear(batches, 1)
    await batches.aclose()
    journal.tell(2)
    assert not journal.fan_out._listeners[MATRIX]


async def test_of_too_many_passing_signs_the_newest_are_kept(journal: StagedJournal) -> None:
    journal.keep(1)
    batches = journal.fan_out.listen(MATRIX, 0)
    await hear(batches, 1)
    for position in range(200):
        journal.fan_out.show(note(position), [MATRIX, endpoint("nobody")])
    assert await hear(batches, 1) == list(range(200 - KEPT_PASSING, 200))
    await batches.aclose()
