"""How a thread stands: whoever asks gets what holds all that he knows of, and many who ask cost little."""

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from shared import events
from shared.domain import ThreadLog
from shared.errors import DatabaseUnavailableError
from shared.stream import states
from tests.integration.waiting import until
from tests.thread_logs import log_named
from tests.unit.test_delivery import new_delivery
from tests.unit.watching import ACCOUNT, THREAD, World, event, subscription

LOG = log_named(THREAD)


class Database:
    """Where snapshots come from, one message each, which says which one it was."""

    def __init__(self) -> None:
        self.taken = 0
        self.at_once = self.most_at_once = 0
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def snapshot(self, **_: Any) -> list[Any]:
        self.taken += 1
        number = self.taken
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.answers.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        if self.is_away:
            raise DatabaseUnavailableError
        return [{"content": number}]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    world.patch(monkeypatch)
    return world


@pytest.fixture
def database(world: World, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database()
    monkeypatch.setattr(states, "snapshot", database.snapshot)
    return database


async def _state(*, after: int, newest: int | None = None, log: ThreadLog = LOG) -> Any:
    found = await states.state(log, account_id=ACCOUNT, after=after, newest=after if newest is None else newest)
    return found.data["messages"][0]["content"] if "messages" in found.data else "unknown"


async def test_all_who_ask_at_once_are_told_from_one_snapshot(database: Database) -> None:
    assert await asyncio.gather(*(_state(after=after, newest=9) for after in range(1, 10))) == [1] * 9
    assert database.taken == 1


async def test_what_came_after_a_snapshot_is_in_the_next_one(database: Database) -> None:
    # GIVEN one that is being taken
    database.answers.clear()
    early = asyncio.create_task(_state(after=4))
    await until(lambda: database.taken)
    # WHEN something happens meanwhile, and its number is known THEN it is not told from that one
    late = asyncio.create_task(_state(after=5))
    database.answers.set()
    assert (await early, await late) == (1, 2)
    # AND what was known when the second one was asked for is
    assert await _state(after=3) == 2


async def test_a_snapshot_is_told_for_two_seconds(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(states, "time", SimpleNamespace(time=lambda: now))
    assert [await _state(after=1), await _state(after=1)] == [1, 1]
    now += states.KEPT_S
    assert await _state(after=1) == 2
    # AND not for longer because the clock was put back
    now -= 10
    assert await _state(after=1) == 3
    now += 3600
    await _state(after=1, log=log_named(uuid4()))
    assert len(states._kept) == 1


async def test_an_accounts_snapshots_take_one_connection_at_a_time(database: Database) -> None:
    logs = [log_named(uuid4()) for _ in range(10)]
    await asyncio.gather(*(_state(after=1, log=log) for log in logs))
    assert (database.taken, database.most_at_once) == (10, 1)


async def test_a_database_that_is_away_is_waited_for_once(database: Database) -> None:
    database.is_away = True
    assert await asyncio.gather(*(_state(after=1) for _ in range(50))) == ["unknown"] * 50
    assert database.taken == 1


async def test_readers_who_come_from_the_beginning_cost_a_snapshot_or_two(world: World, database: Database) -> None:
    # GIVEN a public thread of which runs were deleted, one after the other: each has left a state
    world.public_after = 0
    told = [events.number(events.values(THREAD, None), generation=THREAD, seq=seq) for seq in range(1, 201)]
    world.log = [*told, event(201)]
    world.watch(*(replace(subscription(connection_id=f"c{one}"), reader_id="a reader") for one in range(10)))
    delivery = new_delivery(last_seq=201)
    assert await delivery.close(timeout_s=20)
    # THEN one serves all, and each is told of the newest of those that are at hand
    assert database.taken == 1
    for one in range(10):
        frames = world.sent[f"c{one}"]
        assert frames[-1]["seq"] == 201
        handfuls = -(-sum(len(state.frame) for state in told) // 65_536) + 1
        assert 1 <= len(frames) - 1 <= handfuls


async def test_whoever_lacks_the_beginning_is_told_from_the_same_snapshot(world: World, database: Database) -> None:
    world.log = [event(5), event(6)]
    world.watch(*(subscription(connection_id=f"c{one}") for one in range(100)))
    delivery = new_delivery(last_seq=6)
    assert await delivery.close(timeout_s=20)
    assert database.taken == 1
    assert all(world.seqs(f"c{one}") == [None, None, 5, 6] for one in range(100))


async def test_a_gap_is_told_once_where_the_state_is_refused(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.log = [event(5)]
    world.watch(subscription())
    refused = 0
    post = world.post

    async def refusing(connection_id: str, frame: str) -> None:
        nonlocal refused
        if '"values"' in frame and refused < 3:
            refused += 1
            world.refusals = 1
        await post(connection_id, frame)

    monkeypatch.setattr("shared.stream.connections.post", refusing)
    delivery = new_delivery(last_seq=5)
    await world.until_sent([None, None, 5])
    assert await delivery.close(timeout_s=5)
    assert [frame["method"] for frame in world.sent["c"]] == ["custom", "values", "messages"]
    assert (refused, database.taken) == (3, 1)
