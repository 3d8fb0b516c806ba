"""Publishing: a run's events are merged, numbered, logged and delivered, in this order and one batch at a time.

Deltas are merged *before* they get a number: the first of a block leaves at once, then one a block and 100 ms. So a
reader of the log, a connection and a replay see the same events, and a token rate does not become a request rate.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from shared.domain import Claim, Json
from shared.errors import LeaseLostError
from shared.stream import events, log
from shared.stream.delivery import Delivery
from shared.stream.events import Event, Logged
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


class Publisher:
    """The event stream of one claim.

    ``start`` it, ``publish`` and ``delta`` (from one task), ``drain`` before the run's end, ``close`` in any case.
    """

    def __init__(
        self,
        claim: Claim,
        delivery: Delivery,
        *,
        reserve_seq: Callable[[Claim], Awaitable[int]],
        on_lost: Callable[[], None],
        merge_s: float = MERGE_S,
    ) -> None:
        """``on_lost`` is called when a newer epoch numbers the thread's events: the run is somebody else's."""
        self._claim = claim
        self._delivery = delivery
        self._reserve_seq = reserve_seq
        self._on_lost = on_lost
        self._merge_s = merge_s
        self._reserved = claim.reserved_seq
        self._logged_seq = claim.last_seq
        self._epoch_known = False
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_BUFFER)
        self._pending: _Pending | None = None
        self._delta_sent_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._given_up = False
        self.last_seq = claim.last_seq

    def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write())

    async def publish(self, event: Event) -> None:
        """Publish an event after all deltas before it; waits while the log is behind.

        Raises:
            LeaseLostError: nothing more will be written.
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

    async def drain(self) -> None:
        """Wait until everything published is logged, and one more number is reserved: the run's last event's.

        Raises:
            LeaseLostError: something published will never be logged.
        """
        await self._put_pending()
        await self.drain_last()
        await self._reserve(1)

    async def drain_last(self) -> None:
        """Wait until the run's last event is logged; its number was reserved by :meth:`drain`. Raises as that."""
        await self._queue.join()
        if self._given_up:
            raise LeaseLostError

    async def close(self) -> None:
        """Stop writing; what was not drained is dropped."""
        self._cancel_timer()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _put_pending(self) -> None:
        while self._pending is not None:
            await self._put(self._take_pending())

    async def _put(self, event: Event) -> None:
        try:
            await self._queue.put(event)
        except asyncio.QueueShutDown:
            raise LeaseLostError from None

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
        return events.block_delta(self._claim.agent_run_id, index, delta)

    async def _write(self) -> None:
        try:
            while True:
                await self._write_batch()
        except LeaseLostError:
            self._give_up()
        except Exception:
            logger.exception("events cannot be written any more")
            self._give_up()

    def _give_up(self) -> None:
        """Nobody may wait for a writer that has ended: whoever publishes or drains gets LeaseLostError from now on."""
        self._given_up = True
        self._queue.shutdown(immediate=True)
        self._on_lost()

    async def _write_batch(self) -> None:
        batch = [await self._queue.get()]
        while len(batch) < _BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        try:
            await self._reserve(len(batch))
            numbered = [
                events.number(event, thread_id=self._claim.thread_id, seq=self.last_seq + place)
                for place, event in enumerate(batch, start=1)
            ]
            self.last_seq += len(batch)
            await self._append(numbered)
            await self._delivery.offer(numbered)
        finally:
            for _ in batch:
                self._queue.task_done()

    async def _reserve(self, count: int) -> None:
        while self.last_seq + count > self._reserved:
            self._reserved = await self._reserve_seq(self._claim)

    async def _append(self, batch: list[Logged]) -> None:
        """Append to the log. Redis being away does not stop a run; a newer epoch does."""
        try:
            answer = await self._try_append(batch, init=not self._epoch_known)
            if answer in ("unknown", "tail_lost"):
                logger.warning("the event log has lost events", extra={"answer": answer})
                answer = await self._try_append(batch, init=True)
        except log.RedisError:
            logger.warning("the event log is away; the run goes on without it", exc_info=True)
            return
        if answer == "fenced":
            raise LeaseLostError
        self._epoch_known = True
        self._logged_seq = batch[-1].seq

    async def _try_append(self, batch: list[Logged], *, init: bool) -> log.Answer:
        return await log.append(
            self._claim.thread_id, batch, epoch=self._claim.epoch, expected_seq=self._logged_seq, init=init
        )
