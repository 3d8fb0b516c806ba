"""Histories of a log on real servers: holders that die, take over and wake up, facts, lost replies, lost Redis.

Whatever happens: numbers rise and none means two things; what is missing is declared; each fact stands in the log under
one number, or its number is declared missing; and no older epoch writes after a newer one.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import events
from shared.database import facts, transaction
from shared.domain import LogHold
from shared.errors import EventLogUnavailableError, LeaseLostError
from shared.events import Logged
from shared.stream import appender as appending
from shared.stream import log, log_hold
from shared.stream.appender import Appender
from shared.stream.redis_client import redis
from tests.integration.databases import Database
from tests.thread_logs import log_in_database

STEPS = st.lists(
    st.one_of(
        # A holder is one of three; whoever adopts takes the log from the others, who do not know it yet.
        st.tuples(st.just("adopt"), st.integers(0, 2)),
        st.tuples(st.just("publish"), st.integers(0, 2)),
        st.tuples(st.just("publish"), st.integers(0, 2)),
        st.tuples(st.just("facts"), st.integers(0, 2)),
        st.tuples(st.just("close"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["fact", "away", "lost reply", "flush", "save", "restore"]), st.just(0)),
    ),
    min_size=5,
    max_size=40,
)


@dataclass
class History:
    """One thread, its holders, and everything that was ever seen of its log."""

    thread_id: UUID
    generation: UUID
    account_id: str
    run_id: UUID
    holders: dict[int, Appender] = field(default_factory=dict[int, Appender])
    frames: dict[int, str] = field(default_factory=dict[int, str])
    failures: list[str] = field(default_factory=list[str])
    saved: dict[str, bytes] = field(default_factory=dict[str, bytes])
    facts: int = 0

    async def play(self, step: str, holder: int) -> None:
        """One step; a holder that finds itself superseded is gone."""
        try:
            await self._play(step, holder)
        except LeaseLostError:
            self.holders.pop(holder, None)

    async def _play(self, step: str, holder: int) -> None:
        match step:
            case "adopt":
                hold = await log_hold.adopt(thread_id=self.thread_id, account_id=self.account_id)
                assert hold is not None, "nobody holds a run of this thread"
                self.holders[holder] = Appender(hold, reserve=log_hold.reserve, prove=log_hold.is_newest)
            case "publish" if holder in self.holders:
                writer = self.holders[holder]
                await writer.reserve(1)
                await writer.append([writer.number(events.custom(self.run_id, uuid4().hex, {}))])
            case "facts" if holder in self.holders:
                await self.holders[holder].take_facts()
                await self.holders[holder].append([])
            case "close" if holder in self.holders:
                writer = self.holders.pop(holder)
                await writer.append([])
                await writer.note_logged()
                await log_hold.close(writer._hold, last_seq=writer.last_seq)
            case "fact":
                self.facts += 1
                async with transaction() as taken:
                    fact = events.custom(self.run_id, f"fact {self.facts}", {})
                    await facts.add(taken, thread_id=self.thread_id, facts=[fact])
            case "away" | "lost reply":
                self.failures.append(step)
            case "flush":
                await redis().delete(*log._keys(self.generation))
            case "save":
                self.saved = {key: found for key in log._keys(self.generation) if (found := await _dump(key))}
            case "restore" if self.saved:
                # A failover to a replica that had not heard of the newest writes.
                await redis().delete(*log._keys(self.generation))
                for key, found in self.saved.items():
                    await _raw().restore(key, 0, found)
            case _:
                pass

    def seen(self, batch: list[Logged]) -> None:
        """Events are sent to the log: their numbers mean this and nothing else."""
        for event in batch:
            assert self.frames.setdefault(event.seq, event.frame) == event.frame, f"{event.seq} means two things"

    async def check(self) -> None:
        """After one more clean holder: the promises."""
        self.failures.clear()
        for step in ("adopt", "facts", "publish", "close"):
            await self.play(step, 9)
        entries = await log.read(await log_in_database(self.thread_id), after_seq=0, limit=10_000)
        numbers = [entry.seq for entry in entries]
        assert numbers == sorted(set(numbers))
        missing = set(range(1, numbers[-1] + 1)) - set(numbers)
        told: dict[str, int] = {}
        for entry in entries:
            data = json.loads(entry.frame)["params"]["data"]
            if data.get("name") == "gap":
                missing -= set(range(data["payload"]["from"], data["payload"]["to"] + 1))
            elif str(data.get("name", "")).startswith("fact"):
                assert data["name"] not in told, f"{data['name']} was told twice"
                told[data["name"]] = entry.seq
        assert not missing, f"nobody was told of {sorted(missing)}"
        assert not await facts.has_unlogged(thread_id=self.thread_id)


def _raw() -> Any:
    return redis()


async def _dump(key: str) -> bytes | None:
    # The client decodes replies; a dump is bytes.
    node: Any = (await redis().connect()).get_node_from_key(key)
    connection = node.acquire_connection()
    try:
        await connection.connect()
        await connection.send_command("DUMP", key)
        return await connection.read_response(disable_decoding=True)
    finally:
        node.release(connection)


@pytest.fixture
async def play(database: Database, account_id: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    histories: list[History] = []
    append = log.append

    async def watched(hold: LogHold, batch: list[Logged], **options: Any) -> Any:
        history = histories[-1]
        failure = history.failures.pop(0) if history.failures else None
        if failure == "away":
            raise EventLogUnavailableError()
        appended = await append(hold, batch, **options)
        if appended.answer == "ok":
            history.seen(batch)
        if failure == "lost reply":
            raise EventLogUnavailableError()
        return appended

    monkeypatch.setattr(log, "append", watched)
    monkeypatch.setattr(appending, "_AWAY_S", 0.0)
    monkeypatch.setattr(log_hold, "SEQ_BLOCK", 7)
    monkeypatch.setattr(appending, "_MOST_FACTS", 2)

    async def played(steps: list[tuple[str, int]]) -> None:
        thread_id = await database.new_thread(account_id)
        run_id = await database.new_run(thread_id, status="'completed'")
        history = History(thread_id, (await log_in_database(thread_id)).generation, account_id, run_id)
        histories.append(history)
        for step, holder in steps:
            await history.play(step, holder)
        await history.check()

    yield played


@given(steps=STEPS)
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_whatever_happens_the_log_keeps_its_promises(play: Any, steps: list[tuple[str, int]]) -> None:
    await play(steps)
