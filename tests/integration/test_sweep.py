"""The sweep: what is old goes, whatever nobody does; what is not stays."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from functions.api.watch import main as watch
from functions.api.watch import sweep as sweeping
from functions.api.watch.sweep import sweep_some
from shared.aws import objects
from shared.aws.queue import SweepMessage
from shared.database import connection, sweep, threads, transaction
from shared.errors import DatabaseUnavailableError
from shared.runs.settle import Done, LookAgain
from shared.stream.redis_client import redis
from tests.integration.databases import Database
from tests.integration.watched_thread import WatchedThread, appender, says

pytestmark = pytest.mark.usefixtures("subscriptions_table", "files_bucket", "hung_up", "queues")

HOURLY = SweepMessage(next_in_s=3600)
PLAN = "INSERT INTO plans (plan_id, max_unfinished_runs) VALUES ('given', 1) ON CONFLICT DO NOTHING"
_TODAY = "(clock_timestamp() AT TIME ZONE 'UTC')::date"


async def _event(database: Database, account_id: str, *, age: str, logged: bool = True) -> None:
    thread_id = await database.new_thread(account_id)
    await database.connection.execute(
        "INSERT INTO thread_events (thread_id, channel, data, timestamp_ms, created_at, seq, logged_at)"
        " VALUES ($1, 'custom', '{}', 0, now() - $2::text::interval, 1, CASE WHEN $3 THEN now() END)",
        thread_id,
        age,
        logged,
    )


async def _idempotency_key(database: Database, account_id: str, *, age: str) -> None:
    await database.connection.execute(
        "INSERT INTO idempotency_keys VALUES ($1, 'POST /threads', $2, '', 200, '{}', now() - $3::text::interval)",
        account_id,
        uuid4().hex,
        age,
    )


async def _api_key(database: Database, account_id: str, *, revoked: str | None, expired: str | None) -> None:
    await database.new_thread(account_id)
    await database.connection.execute(
        "INSERT INTO api_keys (key_id, account_id, sha256, name, scopes, revoked_at, expires_at) VALUES"
        " (gen_random_uuid(), $1, sha256(uuid_send(gen_random_uuid())), 'a', '{read}', now() - $2::text::interval,"
        " now() - $3::text::interval)",
        account_id,
        revoked,
        expired,
    )


async def _day(database: Database, account_id: str, *, days: int) -> None:
    account_id = f"{account_id}-{uuid4().hex}"
    await database.new_thread(account_id)
    await database.connection.execute(
        f"INSERT INTO account_usage (account_id, day, tokens, cost_usd) VALUES ($1, {_TODAY} - $2::int, 1, 1)",  # noqa: S608
        account_id,
        days,
    )


async def _wait(database: Database, account_id: str, *, over_for: str) -> None:
    await database.connection.execute(
        "INSERT INTO waits VALUES ($1, $2, 1, gen_random_uuid(), now() - $3::text::interval)",
        account_id,
        uuid4().hex,
        over_for,
    )


async def _reader_call(database: Database, account_id: str, *, age: str) -> None:
    await database.connection.execute(
        "INSERT INTO reader_calls VALUES ($1, $2, now() - $3::text::interval)",
        account_id,
        await database.new_thread("the owner"),
        age,
    )


async def _drained(database: Database, account_id: str, *, over_for: str) -> None:
    await database.connection.execute(
        "INSERT INTO drained_instances VALUES (gen_random_uuid(), now() - $1::text::interval)", over_for
    )


async def _deleted_account(database: Database, account_id: str, *, days: int | None, plan: str | None = None) -> None:
    await database.connection.execute(PLAN)
    await database.connection.execute(
        f"INSERT INTO deleted_accounts VALUES (sha256(convert_to($1, 'UTF8')), $2, {_TODAY} - $3::int,"  # noqa: S608
        " CASE WHEN $3 IS NOT NULL THEN 1 END, CASE WHEN $3 IS NOT NULL THEN 1 END)",
        uuid4().hex,
        plan,
        days,
    )


type Make = Callable[..., Awaitable[None]]

# By the statement that removes it: the table, how a row is made, what is too old, and what is not.
KINDS: dict[str, tuple[str, Make, list[dict[str, Any]], list[dict[str, Any]]]] = {
    "events": (
        "thread_events",
        _event,
        [{"age": "25 hours"}],
        [{"age": "23 hours"}, {"age": "9 days", "logged": False}],
    ),
    "idempotency_keys": ("idempotency_keys", _idempotency_key, [{"age": "25 hours"}], [{"age": "23 hours"}]),
    "api_keys": (
        "api_keys",
        _api_key,
        [
            {"revoked": "91 days", "expired": None},
            {"revoked": None, "expired": "91 days"},
            {"revoked": "91 days", "expired": "1 day"},
            {"revoked": "91 days", "expired": "-9 days"},
        ],
        [
            {"revoked": None, "expired": None},
            {"revoked": "89 days", "expired": "89 days"},
            {"revoked": None, "expired": "-9 days"},
        ],
    ),
    "usage_days": ("account_usage", _day, [{"days": 401}], [{"days": 400}, {"days": 0}]),
    "waits": ("waits", _wait, [{"over_for": "61 min"}], [{"over_for": "59 min"}, {"over_for": "-1 min"}]),
    "reader_calls": ("reader_calls", _reader_call, [{"age": "121 min"}], [{"age": "119 min"}]),
    "drained_instances": ("drained_instances", _drained, [{"over_for": "1 s"}], [{"over_for": "-1 min"}]),
    "deleted_accounts": (
        "deleted_accounts",
        _deleted_account,
        [{"days": 1}],
        [{"days": 0}, {"days": 0, "plan": "given"}, {"days": None, "plan": "given"}],
    ),
    "days_of_deleted_accounts": (
        "deleted_accounts WHERE day IS NOT NULL",
        _deleted_account,
        [{"days": 1, "plan": "given"}],
        [{"days": 0, "plan": "given"}, {"days": 0}],
    ),
}


def test_every_kind_is_tested() -> None:
    assert set(sweep.KINDS) == KINDS.keys()


async def _count(database: Database, table: str) -> int:
    return await database.connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_too_old_goes_and_nothing_else(database: Database, account_id: str, kind: str) -> None:
    table, make, old, young = KINDS[kind]
    for row in young:
        await make(database, account_id, **row)
    for row in old * 3:
        await make(database, account_id, **row)
    # WHEN so many are removed at a time
    counts = [await sweep.remove(kind, limit=2) for _ in range(len(old) * 3)]
    assert sum(counts) == 3 * len(old)
    assert max(counts) == 2
    assert await _count(database, table) == len(young)
    # AND all kinds at once remove nothing of it
    assert await sweep_some(HOURLY, age_s=0, round_s=20) == Done()
    assert await _count(database, table) == len(young)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_another_sweep_removes_is_left_to_it(database: Database, account_id: str, kind: str) -> None:
    table, make, [first, *_], _ = KINDS[kind]
    for _ in range(4):
        await make(database, account_id, **first)
    # GIVEN a sweep that has removed two and is not committed, and dies
    other = await database.connect()
    begun = other.transaction()
    await begun.start()
    await other.execute(sweep._SQL[kind], 2)
    # WHEN another one comes meanwhile THEN it does not wait for it
    assert await sweep.remove(kind, limit=10) == 2
    assert await sweep.remove(kind, limit=10) == 0
    await other.close()
    # AND what the dead one had begun the next one removes
    assert await sweep_some(HOURLY, age_s=0, round_s=20) == Done()
    assert await _count(database, table) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_old_is_looked_for_in_an_index(database: Database, kind: str) -> None:
    async with database.connection.transaction():
        await database.connection.execute("SET LOCAL enable_seqscan = off")
        plan = await database.connection.fetch(f"EXPLAIN {sweep._SQL[kind]}", 10)
    # Not only read in its order, until enough are found, or all.
    assert any("Index Cond" in row[0] for row in plan)


async def test_a_kind_that_there_is_much_of_keeps_none_waiting(
    database: Database, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_PARTS", {kind: lambda kind=kind: sweep.remove(kind, limit=2) for kind in KINDS})
    for _ in range(6):
        await _event(database, account_id, age="25 hours")
    await _drained(database, account_id, over_for="1 s")
    await _deleted_account(database, account_id, days=1)
    # WHEN a round has no time left
    assert await sweep_some(HOURLY, age_s=0, round_s=0) == LookAgain(0.0)
    assert await _count(database, "thread_events") == 4
    assert await _count(database, "drained_instances") == await _count(database, "deleted_accounts") == 0
    # THEN the message comes back, and the next round goes on
    assert await sweep_some(HOURLY, age_s=9, round_s=20) == Done()
    assert await _count(database, "thread_events") == 0


async def test_when_the_next_sweep_has_come_the_one_before_is_over(database: Database, account_id: str) -> None:
    await _event(database, account_id, age="25 hours")
    assert await sweep_some(SweepMessage(next_in_s=60), age_s=60, round_s=20) == Done()
    assert await _count(database, "thread_events") == 1


async def test_what_fails_keeps_nothing_else_waiting_and_is_tried_again(
    database: Database, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> int:
        raise DatabaseUnavailableError

    with monkeypatch.context() as broken:
        broken.setattr(sweeping, "_PARTS", {"broken": fails, **sweeping._PARTS})
        await _event(database, account_id, age="25 hours")
        outcome = await sweep_some(HOURLY, age_s=0, round_s=20)
    assert isinstance(outcome, LookAgain)
    assert outcome.after_s > 0
    assert await _count(database, "thread_events") == 0


async def test_a_database_that_is_away_is_not_waited_for_with_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def away(kind: str, *, limit: int) -> int:
        assert limit
        asked.append(kind)
        raise DatabaseUnavailableError

    parts = {kind: lambda kind=kind: away(kind, limit=1) for kind in sweep.KINDS}
    monkeypatch.setattr(sweeping, "_PARTS", parts)
    with pytest.raises(DatabaseUnavailableError):
        await sweep_some(HOURLY, age_s=0, round_s=20)
    assert len(asked) == 2


async def test_the_watch_function_sweeps_and_says_what(
    database: Database, account_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a thread with a file, which goes with its account, and nobody who is told
    thread_id = await database.new_thread(account_id)
    key = f"accounts/a/threads/{thread_id}/files/1"
    await objects.put(key, b"hello", content_type="text/plain")
    await database.connection.execute(
        "INSERT INTO files (file_id, thread_id, account_id, name, content_type, size, object_key, created_at)"
        " VALUES (gen_random_uuid(), $1, $2, 'a', 'text/plain', 5, $3, now() - interval '2 hours')",
        thread_id,
        account_id,
        key,
    )
    log = await database.log(thread_id)
    await redis().set(f"{{{log.generation}}}:fence", 1)
    async with transaction() as taken:
        await threads.delete(taken, thread_id=thread_id, account_id=account_id)
        await taken.execute("UPDATE deleted_logs SET deleted_at = now() - interval '2 hours'")
    await _event(database, account_id, age="25 hours")
    record = {
        "messageId": "1",
        "body": json.dumps({"sweep_again_in_s": 60}),
        "attributes": {"SentTimestamp": str(2**42)},
        "eventSourceARN": "arn:aws:sqs:::watch",
    }
    with caplog.at_level(logging.INFO):
        assert await watch._handle([record]) == {"batchItemFailures": []}
    [said] = [entry for entry in caplog.records if entry.message == "swept"]
    assert vars(said)["swept"] == {"events": 1, "objects": 1, "logs": 1}
    assert await objects.head(key) is None
    assert await redis().exists(f"{{{log.generation}}}:fence") == 0
    for table in ("thread_events", "file_removals", "deleted_logs"):
        assert await _count(database, table) == 0


async def test_many_sweeps_at_once_remove_each_row_once(database: Database, account_id: str) -> None:
    for _ in range(40):
        await _idempotency_key(database, account_id, age="25 hours")
    counts = await asyncio.gather(*(sweep.remove("idempotency_keys", limit=5) for _ in range(8)))
    left = await _count(database, "idempotency_keys")
    assert sum(counts) + left == 40
    assert await sweep.remove("idempotency_keys", limit=100) == left


async def test_who_comes_back_to_a_thread_whose_facts_were_swept_is_told_of_the_gap(
    watched_thread: WatchedThread, database: Database
) -> None:
    claim = await watched_thread.claimed()
    writer = appender(claim)
    await says(writer, 3)
    await watched_thread.add_facts(claim.agent_run_id, 2)
    await writer.take_facts()
    await writer.append([])
    await writer.note_logged()
    await database.set_run(claim.agent_run_id, status="'completed'", ended_at="now()", lease_expires_at="NULL")
    await database.connection.execute("UPDATE threads SET last_seq = 5")
    # WHEN a day has passed
    await redis().delete(f"{{{claim.generation}}}:events")
    await database.connection.execute("UPDATE thread_events SET created_at = now() - interval '25 hours'")
    assert await sweep_some(HOURLY, age_s=0, round_s=20) == Done()
    assert await watched_thread.facts_() == []
    late = await watched_thread.watched(since=2)
    await watched_thread.serve()
    assert (watched_thread.seen(late), watched_thread.declared(late)) == ([], {3, 4, 5})
    async with connection() as taken:
        assert await taken.fetchval("SELECT last_seq FROM threads") == 5
