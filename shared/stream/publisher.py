"""Publishing: a thread's events are merged, numbered, logged and delivered, in this order and one batch at a time.

Deltas are merged *before* they get a number: the first of a block leaves at once, then one a block and 100 ms. So a
reader of the log, a connection and a replay see the same events, and a token rate does not become a request rate.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from shared import events
from shared.database.facts import Fact
from shared.domain import Json
from shared.errors import DatabaseUnavailableError, LeaseLostError, SunaError, UnavailableError
from shared.events import Event, Logged
from shared.stream.appender import Appender
from shared.telemetry import logger

MERGE_S = 0.1

# Events waiting for the log. Deltas do not wait here: they grow the one that is pending.
_BUFFER = 256
_BATCH = 64

# Below the 64 KB that an event may have, whatever the characters cost: JSON escapes an emoji in 12 bytes.
_LONGEST_DELTA = 5_000

DeltaKind = Literal["text", "reasoning"]


@dataclass
class _Pending:
    """Deltas of one block that wait to be merged into one event."""

    index: int
    kind: DeltaKind
    text: str


class Outlet(Protocol):
    """Where events go when they have a number."""

    async def offer(self, events: Sequence[Logged]) -> None:
        """Have them delivered, some time; in order."""
        ...


class _Facts:
    """Stands in the queue where the facts that wait in the database are to be published."""


class Publisher:
    """The event stream of one hold.

    ``start`` it, ``publish`` and ``delta`` (from one task), end the run or give it away inside ``closing``, ``close``
    in any case.
    """

    def __init__(
        self,
        appender: Appender,
        delivery: Outlet,
        *,
        run_id: UUID | None,
        on_lost: Callable[[], None],
        merge_s: float = MERGE_S,
    ) -> None:
        """``run_id``: whose deltas; ``on_lost`` is called when nothing more can be written: a newer epoch numbers the
        thread's events, or there is a ``failure``.
        """
        self._appender = appender
        self._delivery = delivery
        self._run_id = run_id
        self._on_lost = on_lost
        self._merge_s = merge_s
        self._queue: asyncio.Queue[Event | _Facts] = asyncio.Queue(_BUFFER)
        self._pending: _Pending | None = None
        self._delta_sent_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        # Held by whoever numbers events.
        self._writing = asyncio.Lock()
        self._closed = False
        self._given_up = False
        self.failure: UnavailableError | None = None
        """What has ended the writing, if it was not that the hold is lost."""

    def start(self) -> None:
        """Begin to write, with the facts that wait already."""
        self._queue.put_nowait(_Facts())
        self._writer = asyncio.create_task(self._write())

    async def publish(self, event: Event) -> None:
        """Publish an event after all deltas before it; waits while the log is behind.

        Raises:
            LeaseLostError: nothing more will be written.
            UnavailableError: the same, for what that needs is away: the hold may still be the caller's.
        """
        await self._put_pending()
        self._delta_sent_at = None
        await self._put(event)

    def delta(self, index: int, kind: DeltaKind, text: str) -> None:
        """Publish more of block ``index``, merged with what follows within 100 ms. Never waits."""
        if self._pending is None:
            self._pending = _Pending(index, kind, text)
        else:
            self._pending.text += text
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() if self._delta_sent_at is None else self._delta_sent_at + self._merge_s
        if due <= loop.time():
            self._flush()
        else:
            self._timer = loop.call_at(due, self._flush)

    async def facts(self) -> None:
        """Publish the facts that wait in the database, after everything before them. Raises as :meth:`publish`."""
        await self._put_pending()
        self._delta_sent_at = None
        await self._put(_Facts())

    def facts_soon(self) -> None:
        """The same, on a hint; never waits, and never fails."""
        if not self._given_up and not self._queue.full():
            self._queue.put_nowait(_Facts())

    async def drain(self) -> None:
        """Wait until everything published is in the log, or Redis is away.

        Raises:
            LeaseLostError: something published will never be logged.
            UnavailableError: the same, as :meth:`publish`.
        """
        await self._put_pending()
        await self._queue.join()
        if self._given_up:
            raise self._reason()

    @asynccontextmanager
    async def closing(self) -> AsyncGenerator[int]:
        """Everything published is logged, and nothing more gets a number: yields the last one. Raises as :meth:`drain`.

        Where a gap was declared, how the thread stands is the last of it: all messages of the run are kept by then.
        Inside, the run is ended or given away; what that has written as facts is published with :meth:`end`.
        """
        await self.drain()
        if (state := await self._appender.state_after_gap()) is not None:
            await self.publish(state)
            await self.drain()
        async with self._writing:
            self._closed = True
            yield self._appender.last_seq

    async def end(self, facts: Sequence[Fact]) -> int:
        """Inside :meth:`closing`: publish a run's last facts; returns the last number used.

        Raises:
            LeaseLostError: the thread's next run writes the log already, and these facts.
        """
        self._appender.close(facts)
        await self._deliver(await self._appender.append([]))
        await self._appender.note_logged()
        return self._appender.last_seq

    async def close(self) -> None:
        """Stop writing; what was not drained is dropped."""
        self._cancel_timer()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _put_pending(self) -> None:
        while self._pending is not None:
            await self._put(self._take_pending())

    async def _put(self, item: Event | _Facts) -> None:
        try:
            await self._queue.put(item)
        except asyncio.QueueShutDown:
            raise self._reason() from None

    def _reason(self) -> SunaError:
        """Why nothing more is written."""
        return self.failure or LeaseLostError()

    def _flush(self) -> None:
        self._cancel_timer()
        if self._given_up:
            return
        while self._pending is not None and not self._queue.full():
            self._queue.put_nowait(self._take_pending())
        if self._pending is not None:
            # The log is behind: the pending delta goes on growing, and is looked at again.
            self._timer = asyncio.get_running_loop().call_later(self._merge_s, self._flush)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_pending(self) -> Event:
        """The pending delta as an event; what is too long for one stays pending."""
        assert self._pending is not None  # noqa: S101 - both callers have just looked
        self._cancel_timer()
        index, kind, text = self._pending.index, self._pending.kind, self._pending.text
        rest = text[_LONGEST_DELTA:]
        self._pending = _Pending(index, kind, rest) if rest else None
        self._delta_sent_at = asyncio.get_running_loop().time()
        delta: Json = {"type": f"{kind}-delta", kind: text[:_LONGEST_DELTA]}
        return events.block_delta(self._run_id, index, delta)

    async def _write(self) -> None:
        try:
            while True:
                await self._write_batch()
        except LeaseLostError:
            self._give_up()
        except UnavailableError as error:
            logger.warning("events cannot be numbered any more", exc_info=True)
            self.failure = error
            self._give_up()
        except Exception:
            logger.exception("events cannot be written any more")
            self._give_up()

    def _give_up(self) -> None:
        """Nobody may wait for a writer that has ended: whoever publishes or drains is told from now on."""
        self._given_up = True
        self._queue.shutdown(immediate=True)
        self._on_lost()

    async def _write_batch(self) -> None:
        batch = [await self._queue.get()]
        while len(batch) < _BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        try:
            async with self._writing:
                if not self._closed:
                    await self._write_items(batch)
        finally:
            for _ in batch:
                self._queue.task_done()

    async def _write_items(self, batch: Sequence[Event | _Facts]) -> None:
        numbered: list[Logged] = []
        for item in batch:
            if isinstance(item, _Facts):
                await self._take_facts()
            else:
                await self._appender.reserve(1)
                numbered.append(self._appender.number(item))
        await self._deliver(await self._appender.append(numbered))

    async def _take_facts(self) -> None:
        try:
            await self._appender.take_facts()
        except DatabaseUnavailableError:
            # They wait where they are; a later hint, the run's end or its repair takes them.
            logger.warning("facts could not be taken", exc_info=True)

    async def _deliver(self, told: Sequence[Logged]) -> None:
        if told:
            await self._delivery.offer(told)
