"""What has much in it is as exact, and nobody waits in it for others: a day's usage, threads by their newest status."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import budgets, connection, runs, threads
from tests.integration.databases import Database

STRIPES = 32
STATUSES = ("queued", "running", "completed", "failed", "stopped", "timed_out", "needs_input")
_ANSWER = """
INSERT INTO messages (message_id, thread_id, account_id, run_number, position, type, content, metadata)
VALUES (gen_random_uuid(), $1, $2, 1, $3, 'assistant', '{}', '{"usage": {"total_tokens": 5}, "price_usd": 0.25}')
"""


async def test_two_answers_of_one_account_do_not_wait_for_each_other(database: Database, account_id: str) -> None:
    first = await database.connect()
    begun = first.transaction()
    await begun.start()
    await first.execute(_ANSWER, await database.new_thread(account_id), account_id, 1)
    mine = await first.fetchval("SELECT pg_backend_pid()")
    other_thread = await database.new_thread(account_id)
    others: list[Any] = []
    try:
        for _ in range(3):
            others.append(other := await database.connect())
            if (await other.fetchval("SELECT pg_backend_pid()") - mine) % STRIPES:
                break
        # Whoever waits for a row fails, at once.
        await others[-1].execute("SET lock_timeout = '1ms'")
        await others[-1].execute(_ANSWER, other_thread, account_id, 1)
        await begun.commit()
        async with connection() as taken:
            day = (await budgets.of_day(taken, account_id=account_id)).budget
        assert (day.tokens, day.cost_usd) == (10, 0.5)
    finally:
        for one in (first, *others):
            await one.close()


async def _joined(database: Database, account_id: str, words: list[str]) -> list[UUID]:
    """The threads as they are found by looking at their runs."""
    rows = await database.connection.fetch(
        "SELECT t.thread_id FROM threads t LEFT JOIN agent_runs r"
        " ON r.thread_id = t.thread_id AND r.number = t.last_run_number"
        " WHERE t.account_id = $1 AND coalesce(r.status, '') = ANY ($2) ORDER BY t.created_at DESC, t.thread_id",
        account_id,
        words,
    )
    return [row["thread_id"] for row in rows]


async def test_a_search_by_status_finds_what_the_runs_say(database: Database, account_id: str) -> None:
    chance = random.Random(4)  # noqa: S311 - no secret
    thread_ids = [await database.new_thread(account_id) for _ in range(60)]
    for thread_id in thread_ids:
        for left in reversed(range(chance.randrange(3))):
            status = chance.choice(STATUSES[2:] if left else STATUSES)
            await database.new_run(thread_id, status=f"'{status}'")
    # Every third is of before its status was noted.
    await database.connection.execute(
        "UPDATE threads SET last_run_status = NULL WHERE get_byte(uuid_send(thread_id), 0) % 3 = 0"
    )
    # ... of another account, and one whose newest run is deleted.
    await database.new_run(await database.new_thread("another"), status="'completed'", ended_at="now()")
    async with connection() as taken:
        gone = await database.new_run(thread_ids[0], status="'failed'", ended_at="now()")
        await runs.delete(taken, agent_run_id=gone, thread_id=thread_ids[0], account_id=account_id)
    for _ in range(40):
        statuses: list[Any] = chance.sample((None, *STATUSES), k=chance.randrange(1, 5))
        every = await _joined(database, account_id, [status or "" for status in statuses])
        limit, offset = chance.randrange(1, 30), chance.randrange(0, 20)
        wanted: dict[str, Any] = {"account_id": account_id, "metadata": {}, "last_run_statuses": statuses}
        async with connection() as taken:
            found = await threads.search(taken, **wanted, thread_ids=None, limit=limit, offset=offset)
            assert await threads.count(taken, **wanted, thread_ids=None) == len(every)
            rising = await threads.search(
                taken, **wanted, thread_ids=None, limit=100, offset=0, sort_by="created_at", descending=False
            )
        assert [thread.thread_id for thread in found.items] == every[offset : offset + limit]
        assert {thread.thread_id for thread in rising.items} == set(every)
        assert {thread.last_run_status for thread in found.items} <= set(statuses)


async def test_a_deleted_accounts_day_is_the_sum_of_what_it_used(database: Database, account_id: str) -> None:
    today = datetime.now(UTC).date()
    await database.new_thread(account_id)
    await database.connection.executemany(
        "INSERT INTO account_usage (account_id, day, stripe, tokens, cost_usd) VALUES ($1, $2, $3, $4, 0.5)",
        [(account_id, today, stripe, stripe) for stripe in range(4)],
    )
    await database.connection.execute("DELETE FROM threads WHERE account_id = $1", account_id)
    await database.connection.execute("DELETE FROM accounts WHERE account_id = $1", account_id)
    async with connection() as taken, taken.transaction():
        await threads.ensure_account(taken, account_id=account_id)
        await threads.create(taken, thread_id=uuid4(), account_id=account_id, metadata={})
        day = (await budgets.of_day(taken, account_id=account_id)).budget
    assert (day.tokens, day.cost_usd) == (6, 2.0)
    assert await database.connection.fetchval("SELECT count(*) FROM deleted_accounts") == 0


@pytest.mark.parametrize("plan", ["default", "kept"])
async def test_of_a_deleted_account_that_used_nothing_only_an_operators_plan_is_kept(
    database: Database, account_id: str, plan: str
) -> None:
    await database.connection.execute("INSERT INTO plans (plan_id, max_unfinished_runs) VALUES ('kept', 1)")
    await database.connection.execute("INSERT INTO accounts (account_id, plan_id) VALUES ($1, $2)", account_id, plan)
    await database.connection.execute("DELETE FROM accounts WHERE account_id = $1", account_id)
    kept = await database.connection.fetch("SELECT plan_id, day FROM deleted_accounts")
    assert [tuple(row) for row in kept] == ([] if plan == "default" else [("kept", None)])
