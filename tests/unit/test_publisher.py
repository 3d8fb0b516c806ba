"""The publisher: merged, numbered, logged, delivered; in order, one batch at a time."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared import events
from shared.database import facts
from shared.domain import Claim, Json
from shared.errors import DatabaseUnavailableError, EventLogUnavailableError, LeaseLostError
from shared.events import TO_ALL, Logged
from shared.stream.appender import Appender
from shared.stream.publisher import MERGE_S, Publisher
from tests.unit.stream_log import LoopClock, MemoryLog, Reservations, stopped_clock, text_by_block

LARGEST_EVENT_BYTES = 64 * 1024


@pytest.fixture
async def clock() -> AsyncIterator[LoopClock]:
    with stopped_clock() as clock:
        yield clock


@pytest.fixture
async def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryLog:
    memory = MemoryLog()
    memory.patch(monkeypatch)
    return memory


class Publishing:
    """A publisher, and what is seen of it from outside."""

    def __init__(
        self, claim: Claim, memory: MemoryLog, reservations: Reservations | None = None, **known: float
    ) -> None:
        self.run_id: UUID = claim.agent_run_id
        self.lost = 0
        self._memory = memory
        reserve = reservations or Reservations(reserved=claim.reserved_seq, size=1000)
        self.appender = Appender(claim, reserve=reserve, prove=memory.prove, proved_for_s=60.0, **known)
        self.publisher = Publisher(
            self.appender,
            memory,  # type: ignore[arg-type]
            run_id=claim.agent_run_id,
            on_lost=self._on_lost,
        )
        self.publisher.start()

    def _on_lost(self) -> None:
        self.lost += 1

    async def start_block(self, index: int) -> None:
        """Publish the start of a block of text."""
        await self.publisher.publish(events.block_start(self.run_id, index, {"type": "text", "text": ""}))

    @property
    def data(self) -> list[Json]:
        """The logged events' data."""
        return [json.loads(entry.frame)["params"]["data"] for entry in self._memory.logged]

    @property
    def deltas(self) -> list[str]:
        """The text of each logged delta."""
        return [data["delta"]["text"] for data in self.data if data["event"] == "content-block-delta"]


@pytest.fixture
async def publishing(claim: Claim, memory: MemoryLog, clock: LoopClock) -> AsyncIterator[Publishing]:
    found = Publishing(claim, memory)
    yield found
    await found.publisher.close()


async def test_the_first_delta_of_a_block_leaves_at_once(publishing: Publishing, clock: LoopClock) -> None:
    await publishing.start_block(0)
    publishing.publisher.delta(0, "text", "He")
    await clock.advance(0)
    assert publishing.deltas == ["He"]


async def test_following_deltas_are_merged_for_100_ms(publishing: Publishing, clock: LoopClock) -> None:
    await publishing.start_block(0)
    for text in ("He", "l", "l", "o"):
        publishing.publisher.delta(0, "text", text)
    await clock.advance(MERGE_S - 0.001)
    assert publishing.deltas == ["He"]
    await clock.advance(0.001)
    assert publishing.deltas == ["He", "llo"]


async def test_a_fast_model_makes_one_event_a_100_ms(publishing: Publishing, clock: LoopClock) -> None:
    await publishing.start_block(0)
    for _ in range(100):
        publishing.publisher.delta(0, "text", "x")
        await clock.advance(0.01)
    # One at the beginning, then one in each of the ten intervals of the second that has passed.
    assert len(publishing.deltas) == 11
    assert "".join(publishing.deltas) == "x" * 100


async def test_a_slow_model_is_not_made_slower(publishing: Publishing, clock: LoopClock) -> None:
    await publishing.start_block(0)
    for text in ("one ", "two ", "three"):
        publishing.publisher.delta(0, "text", text)
        await clock.advance(0)
        assert publishing.deltas[-1] == text
        await clock.advance(MERGE_S)


async def test_an_event_leaves_after_the_deltas_before_it(publishing: Publishing, clock: LoopClock) -> None:
    await publishing.start_block(0)
    publishing.publisher.delta(0, "text", "a")
    publishing.publisher.delta(0, "text", "b")
    await publishing.publisher.publish(events.block_finish(publishing.run_id, 0, {"type": "text", "text": "ab"}))
    await clock.advance(0)
    assert [data["event"] for data in publishing.data] == [
        "content-block-start",
        "content-block-delta",
        "content-block-delta",
        "content-block-finish",
    ]
    assert publishing.deltas == ["a", "b"]


async def test_each_blocks_first_delta_leaves_at_once(publishing: Publishing, clock: LoopClock) -> None:
    for index in range(3):
        await publishing.start_block(index)
        publishing.publisher.delta(index, "text", f"block {index}")
    await clock.advance(0)
    assert text_by_block(publishing.data) == {0: "block 0", 1: "block 1", 2: "block 2"}


async def test_reasoning_is_a_delta_of_its_own_kind(publishing: Publishing, clock: LoopClock) -> None:
    publishing.publisher.delta(0, "reasoning", "hm")
    await clock.advance(0)
    assert publishing.data == [
        {"event": "content-block-delta", "index": 0, "delta": {"type": "reasoning-delta", "reasoning": "hm"}}
    ]


@pytest.mark.parametrize(
    "character", ["x", "é", "\x01", '"', "😀"], ids=["ASCII", "accent", "control", "quote", "emoji"]
)
async def test_a_long_delta_is_cut_so_that_no_event_is_over_64_kb(
    publishing: Publishing, memory: MemoryLog, clock: LoopClock, character: str
) -> None:
    text = character * 30_000
    publishing.publisher.delta(0, "text", text)
    await clock.advance(MERGE_S)
    assert len(publishing.deltas) > 1
    assert "".join(publishing.deltas) == text
    assert max(len(entry.frame.encode()) for entry in memory.logged) <= LARGEST_EVENT_BYTES


async def test_what_is_logged_is_what_is_delivered(publishing: Publishing, memory: MemoryLog, clock: LoopClock) -> None:
    await publishing.start_block(0)
    publishing.publisher.delta(0, "text", "hello")
    await clock.advance(0)
    assert memory.logged
    assert memory.delivered == memory.logged


async def test_numbers_go_on_after_the_last_of_the_thread(claim: Claim, memory: MemoryLog, clock: LoopClock) -> None:
    memory.logged = [Logged(seq=41, channel="custom", frame="{}")]
    found = Publishing(replace(claim, last_seq=41, reserved_seq=1041), memory)
    for index in range(3):
        await found.start_block(index)
    await found.publisher.drain()
    assert [entry.seq for entry in memory.logged] == [41, 42, 43, 44]
    assert memory.calls[0]["expected_seq"] == 41
    assert found.appender.last_seq == 44
    await found.publisher.close()


async def test_numbers_are_reserved_in_blocks(claim: Claim, memory: MemoryLog, clock: LoopClock) -> None:
    # GIVEN a claim whose numbers are used up, and more to be had
    reservations = Reservations(reserved=0, size=150)
    found = Publishing(replace(claim, reserved_seq=0), memory, reservations)
    # WHEN events are published THEN a block is reserved where one is needed, and no sooner
    for index in range(200):
        await found.start_block(index)
    await found.publisher.drain()
    assert reservations.made == 2
    assert [entry.seq for entry in memory.logged] == list(range(1, 201))
    await found.publisher.close()


async def test_events_wait_for_a_slow_log(publishing: Publishing, memory: MemoryLog, clock: LoopClock) -> None:
    # GIVEN a log that does not answer
    memory.open.clear()

    async def publish_many() -> None:
        for index in range(1000):
            await publishing.start_block(index)

    publish = asyncio.create_task(publish_many())
    await clock.advance(1)
    # THEN whoever publishes waits
    assert not publish.done()
    # WHEN it answers again
    memory.open.set()
    await publish
    await publishing.publisher.drain()
    # THEN everything arrives in order
    assert [data["index"] for data in publishing.data] == list(range(1000))


async def test_deltas_never_wait_and_never_pile_up_behind_a_slow_log(
    publishing: Publishing, memory: MemoryLog, clock: LoopClock
) -> None:
    # GIVEN a log that does not answer, and a full buffer before it
    memory.open.clear()

    async def fill() -> None:
        while True:
            await publishing.start_block(0)

    filling = asyncio.create_task(fill())
    await clock.advance(0)
    filling.cancel()
    await asyncio.gather(filling, return_exceptions=True)
    # WHEN a thousand deltas come in ten seconds
    for _ in range(1000):
        publishing.publisher.delta(0, "text", "x")
        await clock.advance(0.01)
    memory.open.set()
    await publishing.publisher.drain()
    # THEN they have become one event
    assert publishing.deltas == ["x" * 1000]


async def test_the_first_append_proves_the_epoch_and_later_ones_expect_what_they_left(
    publishing: Publishing, memory: MemoryLog, claim: Claim, clock: LoopClock
) -> None:
    for index in range(3):
        await publishing.start_block(index)
        await clock.advance(0)
    assert [call["proved"] for call in memory.calls] == [True, False, False]
    assert [call["expected_seq"] for call in memory.calls] == [0, 1, 2]
    assert {call["epoch"] for call in memory.calls} == {claim.epoch}


async def test_a_newer_epoch_ends_the_publishing(
    publishing: Publishing, memory: MemoryLog, claim: Claim, clock: LoopClock
) -> None:
    memory.fence = claim.epoch + 1
    await publishing.start_block(0)
    await clock.advance(0)
    assert publishing.lost == 1
    # Nothing that was refused is delivered, and nothing is said afterwards.
    with pytest.raises(LeaseLostError):
        await publishing.start_block(1)
    publishing.publisher.delta(1, "text", "too late")
    await clock.advance(1)
    assert (memory.delivered, len(memory.calls)) == ([], 1)


async def test_whoever_waits_for_a_refused_event_hears_that_the_lease_is_lost(
    publishing: Publishing, memory: MemoryLog, claim: Claim, clock: LoopClock
) -> None:
    memory.fence = claim.epoch + 1
    await publishing.start_block(0)
    draining = asyncio.create_task(publishing.publisher.drain())
    await clock.advance(1)
    assert draining.done(), "it waits for a writer that has ended"
    with pytest.raises(LeaseLostError):
        await draining


async def test_whoever_publishes_after_that_hears_it_too(
    publishing: Publishing, memory: MemoryLog, claim: Claim, clock: LoopClock
) -> None:
    memory.fence = claim.epoch + 1

    async def publish_many() -> None:
        for index in range(1000):
            await publishing.start_block(index)

    publish = asyncio.create_task(publish_many())
    await clock.advance(1)
    assert publish.done(), "it waits for a writer that has ended"
    with pytest.raises(LeaseLostError):
        await publish


@pytest.mark.parametrize("failure", [LeaseLostError(), DatabaseUnavailableError()])
async def test_without_numbers_the_run_is_given_up(
    claim: Claim, memory: MemoryLog, clock: LoopClock, failure: Exception
) -> None:
    # GIVEN a claim whose numbers are used up, and no more to be had
    reservations = Reservations(reserved=0, size=5)
    reservations.failure = failure
    found = Publishing(replace(claim, reserved_seq=0), memory, reservations)
    await found.start_block(0)
    draining = asyncio.create_task(found.publisher.drain())
    # WHEN PostgreSQL stays away for longer than it is waited for
    for _ in range(20):
        await clock.advance(1)
    # THEN the run is told, and nobody waits for ever
    assert found.lost == 1
    # AND hears what it was: that PostgreSQL is away is no loss of the lease
    with pytest.raises(type(failure)):
        await asyncio.wait_for(draining, 1)
    with pytest.raises(type(failure)):
        await found.start_block(1)
    assert memory.logged == []
    await found.publisher.close()


async def test_numbers_are_waited_for_as_long_as_the_hold_can(
    claim: Claim, memory: MemoryLog, clock: LoopClock
) -> None:
    # GIVEN a claim whose numbers are used up, and a PostgreSQL that is away
    reservations = Reservations(reserved=0, size=5)
    reservations.failure = DatabaseUnavailableError()
    found = Publishing(replace(claim, reserved_seq=0), memory, reservations, patience_s=15.0)
    await found.start_block(0)
    # WHEN that lasts for most of the patience, which is half a lease
    for _ in range(13):
        await clock.advance(1)
    reservations.failure = None
    for _ in range(2):
        await clock.advance(1)
    # THEN the run has noticed nothing
    await asyncio.wait_for(found.publisher.drain(), 1)
    assert (found.lost, [entry.seq for entry in memory.logged]) == (0, [1])
    await found.publisher.close()


async def test_close_drops_what_was_not_drained(publishing: Publishing, memory: MemoryLog, clock: LoopClock) -> None:
    await publishing.start_block(0)
    publishing.publisher.delta(0, "text", "a")
    publishing.publisher.delta(0, "text", "b")
    await clock.advance(0)
    await publishing.publisher.close()
    await clock.advance(1)
    assert publishing.deltas == ["a"]


async def test_after_a_gap_the_last_of_a_run_is_how_the_thread_stands(
    publishing: Publishing, memory: MemoryLog
) -> None:
    # GIVEN an answer whose beginning Redis missed
    memory.failures = [EventLogUnavailableError()]
    await publishing.start_block(0)
    await publishing.publisher.drain()
    publishing.appender._away_until = 0.0
    await publishing.publisher.publish(events.lifecycle(publishing.run_id, "running"))
    await publishing.publisher.drain()
    before = len(memory.logged)
    assert "gap" in [data.get("name") for data in publishing.data]
    # WHEN the run is ended THEN a snapshot has the whole of it, and there is one
    async with publishing.publisher.closing() as last_seq:
        assert [entry.channel for entry in memory.logged[before:]] == [TO_ALL]
        assert "from the database" in memory.logged[-1].frame
        assert memory.logged[-1].seq == last_seq


async def test_without_a_gap_a_run_ends_without_a_snapshot(publishing: Publishing, memory: MemoryLog) -> None:
    await publishing.start_block(0)
    async with publishing.publisher.closing() as last_seq:
        assert [entry.seq for entry in memory.logged] == [last_seq]


async def test_what_is_owed_is_asked_for_once(claim: Claim, memory: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look more would be a round trip more before the first token."""
    asked: list[int] = []
    take = memory.take

    async def counted(*args: Any, **options: Any) -> Any:
        asked.append(options["most"])
        return await take(*args, **options)

    monkeypatch.setattr(facts, "take", counted)
    found = Publishing(claim, memory)
    for index in range(3):
        await found.start_block(index)
        await found.publisher.drain()
    await found.publisher.close()
    assert len(asked) == 1
    assert asked[0] > 0
