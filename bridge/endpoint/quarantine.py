"""The quarantine: what cannot be handled is put aside with its reason, so that everything else goes on.

Event, row and room are bulkheads. Whoever meets something that it cannot bear writes it into the quarantine in the
transaction that lets go of it; an operator looks at it, has it tried again, or drops it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec import structs

from bridge.endpoint.context import Context
from bridge.endpoint.errors import NotRetriable
from bridge.endpoint.ledger.contract import Change, Damaged, Ledger, QuarantineKind, QuarantineRow

KEPT_MS = 30 * 86_400_000
"""How long something is kept in quarantine, in milliseconds."""

_TEXT = 500  # characters of a reason

Retry = Callable[[QuarantineRow, Change], Awaitable[None]]
"""Handles something again: ``change`` (which drops the row) is part of its transaction. Raises whatever is wrong."""

Let = Callable[[Damaged, Change], None]
"""Writes into a change what becomes of a row that cannot be read: that it is gone, and that its sender is told."""

_KINDS = {
    "inbox": QuarantineKind.AWAITING_MEDIA,
    "outbox": QuarantineKind.CONTENT,
    "delivery": QuarantineKind.DELIVERY,
    "offer": QuarantineKind.CONTENT,
    "room": QuarantineKind.ROOM,
}

log = structlog.get_logger(__name__)


class Quarantine:
    """What one endpoint has put aside; ``next_id`` gives ids of the ledger's rows."""

    def __init__(self, ledger: Ledger, context: Context, next_id: Callable[[], int]) -> None:
        self._ledger = ledger
        self._context = context
        self._next_id = next_id
        self._retries: dict[QuarantineKind, Retry] = {}
        self._lets: dict[str, Let] = {}
        self._moving: set[tuple[str, int, str]] = set()

    # --- for the parts ------------------------------------------------------------------------------------------------

    def handles(self, kind: QuarantineKind, retry: Retry) -> None:
        """Say how things of a kind are tried again."""
        self._retries[kind] = retry

    def lets_go(self, table: str, let: Let) -> None:
        """Say what becomes of rows of a table that cannot be read."""
        self._lets[table] = let

    def put(
        self,
        change: Change,
        kind: QuarantineKind,
        place: str,
        item: bytes,
        error: BaseException | str,
        *,
        code: str = "",
    ) -> QuarantineRow:
        """Write into ``change`` that something is put aside; ``error`` says why, ``code`` is a stable word for it."""
        why = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        code = code or getattr(error, "code", "") or "defect"
        now = self._context.clock()
        row = QuarantineRow(
            id=self._next_id(),
            kind=kind,
            place=printable(place),
            item=item,
            code=code,
            text=printable(why)[:_TEXT],
            at=now,
        )
        change.quarantine.append(row)
        change.quarantine_over = max(1, now - KEPT_MS)
        self._context.metrics.count("quarantined")
        log.error("put into quarantine", kind=kind.value, place=row.place, code=code, why=row.text, id=row.id)
        return row

    def damaged(self, row: Damaged) -> None:
        """Move a row that cannot be read out of the way. Called each time that it is met, until it is moved."""
        key = (row.table, row.id, row.place)
        if key in self._moving or row.table not in self._lets:
            if row.table not in self._lets:
                log.error("a row of the ledger cannot be read", table=row.table, id=row.id, why=row.why)
            return
        self._moving.add(key)
        change = Change()
        kept = self.put(change, _KINDS[row.table], row.place, row.row, row.why, code="unreadable")
        change.quarantine[-1] = structs.replace(kept, raw=True)
        self._lets[row.table](row, change)

    # --- for operators ------------------------------------------------------------------------------------------------

    async def list(self, *, limit: int, kind: QuarantineKind | None = None) -> Sequence[QuarantineRow]:
        """Return what is put aside, newest first."""
        return await self._ledger.quarantine(limit=limit, kind=kind)

    async def show(self, id_: int) -> QuarantineRow | None:
        """Return one thing that is put aside."""
        return await self._ledger.quarantined(id_)

    async def drop(self, id_: int) -> bool:
        """Let go of something for good; False if there is nothing of that id."""
        if await self._ledger.quarantined(id_) is None:
            return False
        await self._ledger.commit(Change(quarantine_done=[id_]))
        return True

    async def retry(self, id_: int) -> bool:
        """Handle something again; False if there is nothing of that id.

        Raises ``NotRetriable`` with the reason when it fails again: it stays, and the attempt is counted.
        """
        row = await self._ledger.quarantined(id_)
        if row is None:
            return False
        handle = self._retries.get(row.kind)
        if row.raw and row.kind is not QuarantineKind.ROOM:
            handle = self._put_back
        if handle is None or (not row.item and row.kind is not QuarantineKind.ROOM):
            raise NotRetriable(f"{row.kind.value}: this can be looked at and dropped, but not tried again")
        try:
            await handle(row, Change(quarantine_done=[row.id]))
        except Exception as error:
            why = printable(f"{type(error).__name__}: {error}")[:_TEXT]
            await self._ledger.commit(Change(quarantine=[structs.replace(row, attempts=row.attempts + 1, text=why)]))
            raise NotRetriable(f"it failed again: {why}") from error
        log.info("taken out of quarantine", kind=row.kind.value, place=row.place, id=row.id)
        return True

    async def _put_back(self, row: QuarantineRow, change: Change) -> None:
        """Put a row that could not be read back where it lay: with the right key it can be read at the next start."""
        table = next(name for name, kind in _KINDS.items() if kind is row.kind)
        change.restored.append((table, row.item))
        await self._ledger.commit(change)


def printable(text: str) -> str:
    """Return a text that every database takes: no NUL, no lone surrogates."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
