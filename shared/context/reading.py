"""Reading a thread's newest messages by their sizes, and counting those that have not been counted."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from shared.context.compression import compress
from shared.context.counting import Family, count_message
from shared.database import connection, context
from shared.database.context import Counted, Place, Row, Scope, Standing
from shared.domain import Json, MessageType

# Messages read at once by their sizes, and by their contents to be counted.
PAGE = 512
COUNTED_AT_ONCE = 64

# Counting this many characters takes a few milliseconds; more leaves the event loop.
_COUNTED_INLINE = 20_000

# More tokens than any thread has, and still an int of PostgreSQL.
UNBOUNDED = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The newest messages of a run's context, counted, oldest first.

    ``complete``: they are all there are after the summary. ``rows_read``: from the database, with or without content.
    """

    standing: Standing
    summary_tokens: int
    question: Sequence[Row]
    rows: Sequence[Row]
    complete: bool
    rows_read: int


class Reader:
    """Reads for one run, in one family's counts."""

    def __init__(self, scope: Scope, family: Family) -> None:
        self._scope = scope
        self._family = family
        self._counter = family.counter
        self.rows_read = 0

    async def tail(self, tokens: int = UNBOUNDED) -> Tail:
        """What follows the newest summary, newest first until ``tokens`` are exceeded (compressed)."""
        async with connection() as taken:
            standing = await context.standing(taken, self._scope, self._counter)
        self.rows_read += 1
        summary_tokens = await self._summary_tokens(standing)
        rows, complete = await self._rows(standing.covers, tokens - summary_tokens)
        oldest = rows[0].place if rows else self._end
        question: list[Row] = []
        if not complete or standing.covers >= (self._scope.number, 0):
            async with connection() as taken:
                question = await context.question(taken, self._scope, self._counter, before=oldest)
            question = await self._counted(question)
        return Tail(
            standing=standing,
            summary_tokens=summary_tokens,
            question=question,
            rows=rows,
            complete=complete,
            rows_read=self.rows_read,
        )

    async def contents(self, wanted: Sequence[tuple[UUID, bool]]) -> dict[UUID, tuple[MessageType, Json]]:
        """Messages by id, in this order, each whole (``True``) or compressed; without those that are gone."""
        found: list[tuple[UUID, MessageType, Json]] = []
        for at in range(0, len(wanted), PAGE):
            async with connection() as taken:
                found += await context.contents(taken, self._scope, self._counter, wanted[at : at + PAGE])
        self.rows_read += len(found)
        return {message_id: (kind, content) for message_id, kind, content in found}

    @property
    def _end(self) -> Place:
        return (self._scope.number + 1, 0)

    async def _summary_tokens(self, standing: Standing) -> int:
        if standing.summary_id is None:
            return 0
        if standing.tokens is not None:
            return standing.tokens
        (counted,) = await self._count([standing.summary_id])
        return counted.full

    async def _rows(self, after: Place, tokens: int) -> tuple[list[Row], bool]:
        """Newest first in the reading, oldest first in the answer, and whether that is all."""
        newest_first: list[Row] = []
        before = self._end
        left, over = max(0, tokens), False
        while True:
            limit = UNBOUNDED if over else left
            async with connection() as taken:
                page = await context.page(
                    taken, self._scope, self._counter, after=after, before=before, limit=PAGE, tokens=limit
                )
            self.rows_read += len(page)
            counted = await self._counted(page)
            newest_first += counted
            left -= sum(row.compressed or 0 for row in counted)
            exhausted = len(page) < PAGE and (left >= 0 or limit == UNBOUNDED)
            over = over or left < 0
            # A budget that ends amid the newest group must not part results from their call.
            if exhausted or (over and not all(row.type == "tool" for row in newest_first)):
                return newest_first[::-1], not over
            before = page[-1].place

    async def _counted(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with their sizes."""
        missing = [row.message_id for row in rows if row.full is None]
        if not missing:
            return list(rows)
        sizes: dict[UUID, Counted] = {}
        for at in range(0, len(missing), COUNTED_AT_ONCE):
            for one in await self._count(missing[at : at + COUNTED_AT_ONCE]):
                sizes[one.message_id] = one
        return [
            replace(row, full=sizes[row.message_id].full, compressed=sizes[row.message_id].compressed)
            if row.message_id in sizes
            else row
            for row in rows
            if row.full is not None or row.message_id in sizes  # else it is gone
        ]

    async def _count(self, message_ids: Sequence[UUID]) -> list[Counted]:
        """Count messages for good."""
        async with connection() as taken:
            found = await context.contents(taken, self._scope, self._counter, [(one, True) for one in message_ids])
        self.rows_read += len(found)
        contents = [(message_id, content) for message_id, _, content in found]
        counted = await count_all(contents, self._family)
        async with connection() as taken:
            await context.keep_counts(taken, self._counter, counted)
        return counted


async def count_all(messages: Sequence[tuple[UUID, Json]], family: Family) -> list[Counted]:
    """Count messages in both forms; long ones beside the event loop."""

    def count() -> list[Counted]:
        return [_counted(message_id, content, family) for message_id, content in messages]

    if sum(len(str(content.get("content"))) for _, content in messages) < _COUNTED_INLINE:
        return count()
    return await asyncio.to_thread(count)


def _counted(message_id: UUID, content: Json, family: Family) -> Counted:
    full = count_message(content, family.encoding)
    form = compress(content, message_id)
    if form is content:
        return Counted(message_id=message_id, full=full, compressed=full, form=None)
    return Counted(message_id=message_id, full=full, compressed=count_message(form, family.encoding), form=form)
