"""How much of a thread's log is kept, and for how long."""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from shared import events
from shared.domain import LogHold
from shared.events import Logged
from shared.runs import transitions
from shared.stream import log, log_hold
from shared.stream.log import TTL_MS
from shared.stream.redis_client import redis
from tests.integration import opened
from tests.integration.databases import LEASE_S, Database
from tests.integration.watched_thread import WatchedThread, appender
from tests.thread_logs import hold_of, log_named

MOST = 2**20
LARGE = "x" * 20_000

type Numbers = Sequence[int]


@pytest.fixture(autouse=True)
async def small_log(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """A log of a mebibyte."""
    monkeypatch.setenv("LOG_BYTES", str(MOST))
    opened.forget_settings()
    yield
    await opened.close_redis()


def _event(hold: LogHold, seq: int, text: str = LARGE) -> Logged:
    return events.number(events.custom(uuid4(), "said", {"text": text}), generation=hold.generation, seq=seq)


async def _append(hold: LogHold, numbers: Numbers, *, text: str = LARGE, expected: int | None = None) -> log.Appended:
    batch = [_event(hold, seq, text) for seq in numbers]
    at = numbers[0] - 1 if expected is None else expected
    return await log.append(hold, batch, expected_seq=at, proved=True)


async def _kept(hold: LogHold) -> list[Logged]:
    return await log.read(hold, after_seq=0, limit=10_000)


def _bytes(found: Sequence[Logged]) -> int:
    return sum(len(event.frame.encode()) for event in found)


@pytest.mark.usefixtures("either_redis")
@pytest.mark.parametrize("at_once", [1, 7, 50])
async def test_a_log_keeps_its_newest_bytes_and_nothing_else_is_missing(at_once: int) -> None:
    hold = hold_of(log_named(uuid4()))
    found: list[Logged] = []
    for first in range(1, 201, at_once):
        await _append(hold, range(first, min(first + at_once, 201)))
        found = await _kept(hold)
        # One more than there is room for.
        assert found[0].seq == 1 or _bytes(found[1:]) <= MOST < _bytes(found) + 30_000
    assert _bytes(found[1:]) <= MOST
    assert [event.seq for event in found] == list(range(201 - len(found), 201))
    # Small ones take their place.
    await _append(hold, range(201, 4201), text="é" * 100)
    found = await _kept(hold)
    assert found[-1].seq == 4200
    assert _bytes(found[1:]) <= MOST < _bytes(found) + 30_000


@pytest.mark.usefixtures("either_redis")
async def test_a_lost_tail_is_not_counted() -> None:
    hold = hold_of(log_named(uuid4()))
    await _append(hold, range(1, 11))
    # GIVEN a failover that lost the last entries
    await redis().xdel(log._keys(hold.generation)[0], *(f"{seq}-0" for seq in range(6, 11)))
    assert (await _append(hold, [11], expected=5)).answer == "ok"
    assert [event.seq for event in await _kept(hold)] == [1, 2, 3, 4, 5, 11]
    await _append(hold, range(12, 52))
    assert [event.seq for event in await _kept(hold)][:5] == [1, 2, 3, 4, 5]
    await _append(hold, range(52, 90))
    assert _bytes((await _kept(hold))[1:]) <= MOST < _bytes(await _kept(hold)) + 30_000


@pytest.mark.usefixtures("either_redis")
async def test_a_log_of_before_bytes_were_counted_is_trimmed_too() -> None:
    hold = hold_of(log_named(uuid4()))
    for seq in range(1, 6):
        await redis().xadd(log._keys(hold.generation)[0], {"channel": "custom", "frame": LARGE}, id=f"{seq}-0")
    await _append(hold, range(6, 16))
    assert [event.seq for event in await _kept(hold)] == list(range(1, 16))
    await _append(hold, range(16, 96))
    found = await _kept(hold)
    assert found[0].seq > 5
    assert _bytes(found[1:]) <= MOST


@pytest.mark.usefixtures("subscriptions_table", "queues")
async def test_whoever_has_not_read_what_was_trimmed_is_told_of_a_gap(watched_thread: WatchedThread) -> None:
    claim = await watched_thread.claimed()
    writer = appender(claim)
    await writer.reserve(120)
    for _ in range(120):
        await writer.append([writer.number(events.custom(claim.agent_run_id, "said", {"text": LARGE}))])
    first = (await watched_thread.in_the_log())[0]
    assert first > 20
    early, late = await watched_thread.watched(since=3), await watched_thread.watched(since=first + 2)
    await transitions.finish(claim, status="completed", error=None, last_seq=writer.last_seq)
    await watched_thread.serve()
    assert watched_thread.declared(early) == set(range(4, first))
    assert watched_thread.seen(early)[: 121 - first] == list(range(first, 121))
    assert watched_thread.declared(late) == set()
    assert watched_thread.seen(late)[0] == first + 3


async def _left_ms(hold: LogHold) -> list[int]:
    return [await redis().pttl(key) for key in log._keys(hold.generation)]


async def test_a_plan_says_for_how_long_a_log_is_kept(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    adopted = await log_hold.adopt(thread_id=thread_id, account_id=account_id)
    assert adopted is not None
    await _append(adopted, [1])
    assert all(TTL_MS - 60_000 < left <= TTL_MS for left in await _left_ms(adopted))
    # WHEN its plan says less
    await database.connection.execute("INSERT INTO plans (plan_id, max_unfinished_runs, replay_s) VALUES ('s', 9, 900)")
    await database.connection.execute("UPDATE accounts SET plan_id = 's' WHERE account_id = $1", account_id)
    adopted = await log_hold.adopt(thread_id=thread_id, account_id=account_id)
    assert adopted is not None
    await _append(adopted, [2], expected=1)
    assert all(840_000 < left <= 900_000 for left in await _left_ms(adopted))
    # THEN so does the claim of a run
    run_id = await database.new_run(thread_id)
    claim = await transitions.claim(agent_run_id=run_id, account_id=account_id, executor="queue", lease_s=LEASE_S)
    assert claim is not None
    assert (adopted.replay_s, claim.replay_s) == (900, 900)
