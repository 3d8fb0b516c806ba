"""Budgets of tokens and money: what was used is counted once, and bounds what is recorded."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import budgets, connection, messages, threads, transaction
from shared.errors import BudgetExceededError, NotFoundError
from shared.runs.record import NewMessage, NewRun, record_run
from tests.integration.databases import Database
from tests.integration.queues import Queues


def _metadata(tokens: int, cost_usd: float | None = None) -> dict[str, Any]:
    usage = {"input_tokens": tokens - 1, "output_tokens": 1, "total_tokens": tokens}
    return {"usage": usage} | ({} if cost_usd is None else {"price_usd": cost_usd})


async def _answer(account_id: str, thread_id: UUID, metadata: dict[str, Any], *, run_number: int = 1) -> UUID:
    async with connection() as taken:
        message = await messages.insert(
            taken,
            message_id=uuid4(),
            thread_id=thread_id,
            account_id=account_id,
            run_number=run_number,
            type="assistant",
            content={"role": "assistant", "content": "hello"},
            metadata=metadata,
        )
    return message.message_id


async def _day(account_id: str) -> budgets.Budget:
    async with connection() as taken:
        return (await budgets.of_day(taken, account_id=account_id)).budget


async def _start(account_id: str, thread_id: UUID, **fields: Any) -> None:
    said = NewMessage(type="user", content={"role": "user", "content": "hello"})
    new = {"account_id": account_id, "thread_id": thread_id, "assistant_id": "agent", "messages": [said], **fields}
    await record_run(NewRun(**new))


async def test_an_answer_that_is_kept_several_times_counts_once(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    message_id = await _answer(account_id, thread_id, {})
    assert (await _day(account_id)).tokens == 0
    for metadata in (_metadata(100, 0.25), _metadata(100, 0.25), _metadata(110, 0.5), {**_metadata(110, 0.5), "x": 1}):
        async with connection() as taken:
            await messages.replace(taken, message_id=message_id, content={}, metadata=metadata)
    used = await _day(account_id)
    assert (used.tokens, used.cost_usd) == (110, 0.5)


async def test_what_runs_use_at_once_is_summed_exactly(database: Database, account_id: str) -> None:
    thread_ids = [await database.new_thread(account_id) for _ in range(20)]
    await asyncio.gather(
        *(_answer(account_id, thread_id, _metadata(n, 0.01)) for n, thread_id in enumerate(thread_ids, start=1))
    )
    used = await _day(account_id)
    assert (used.tokens, used.cost_usd) == (sum(range(1, 21)), 0.2)


async def test_what_was_used_stays_used_when_its_thread_is_deleted(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    await _answer(account_id, thread_id, _metadata(7))
    async with connection() as taken:
        await threads.delete(taken, thread_id=thread_id, account_id=account_id)
    assert await database.count("messages") == 0
    assert (await _day(account_id)).tokens == 7


async def test_an_answer_that_is_undone_was_not_used(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    with pytest.raises(RuntimeError):
        async with transaction() as taken:
            message = {"message_id": uuid4(), "thread_id": thread_id, "account_id": account_id, "run_number": 1}
            await messages.insert(taken, **message, type="assistant", content={}, metadata=_metadata(7))
            raise RuntimeError
    assert (await _day(account_id)).tokens == 0


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_day_tokens": 100}, "100 tokens, and the account's plan allows 100"),
        ({"max_day_cost_usd": 0.5}, "0.5 USD, and the account's plan allows 0.5 USD"),
    ],
    ids=["tokens", "money"],
)
async def test_a_spent_day_records_nothing_and_says_when_it_resets(
    database: Database, queues: Queues, account_id: str, limits: dict[str, float], said: str
) -> None:
    thread_id = await database.new_thread(account_id)
    for name, value in limits.items():
        await database.connection.execute(f"UPDATE plans SET {name} = $1", value)  # noqa: S608
    await _answer(account_id, thread_id, _metadata(99, 0.49))
    await _start(account_id, thread_id)
    await _answer(account_id, thread_id, _metadata(1, 0.01))

    before = [await database.count(table) for table in ("agent_runs", "messages", "threads")]
    for asked in ({"thread_id": thread_id}, {"thread_id": uuid4(), "create_thread": True}):
        with pytest.raises(BudgetExceededError) as refused:
            await _start(account_id, **asked)
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        assert said in refused.value.message
        assert tomorrow.isoformat() in refused.value.message
        detail = refused.value.detail
        assert isinstance(detail, dict)
        assert (detail["tokens"], detail["resets_at"]) == (100, tomorrow.isoformat())
        assert refused.value.retry_after_s is not None
        assert 0 < refused.value.retry_after_s <= 24 * 3600
    assert [await database.count(table) for table in ("agent_runs", "messages", "threads")] == before
    await _start("another", await database.new_thread("another"))

    # WHEN the day is over THEN the next one begins with nothing used
    await database.connection.execute("UPDATE account_usage SET day = day - 1")
    await _start(account_id, thread_id)


async def test_a_runs_budget_is_its_own(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    await database.connection.execute("UPDATE plans SET max_run_tokens = 100, max_run_cost_usd = 1")

    async def spending(run_number: int) -> budgets.Spending:
        async with connection() as taken:
            return await budgets.of_run(taken, account_id=account_id, thread_id=thread_id, run_number=run_number)

    await _answer(account_id, thread_id, _metadata(60, 0.4))
    await _answer(account_id, thread_id, _metadata(60, 0.4), run_number=2)
    assert ((await spending(1)).error, (await spending(2)).error) == (None, None)
    await _answer(account_id, thread_id, _metadata(40))
    await _answer(account_id, thread_id, _metadata(1, 0.6), run_number=2)
    for run_number, said in ((1, "100 tokens"), (2, "1 USD")):
        error = (await spending(run_number)).error
        assert error is not None
        assert error["code"] == "budget_exceeded"
        assert said in error["message"]
        assert "another run" in error["message"]
    assert (await spending(3)).error is None

    await database.connection.execute(
        "UPDATE plans SET max_run_tokens = NULL, max_run_cost_usd = NULL,"
        " max_day_tokens = NULL, max_day_cost_usd = NULL"
    )
    await _answer(account_id, thread_id, _metadata(10**12, 10**6))
    assert (await spending(1)).error is None
    await database.connection.execute("UPDATE plans SET max_day_tokens = 5")
    error = (await spending(3)).error
    assert error is not None
    assert "come back at" in error["message"]


async def test_a_stranger_has_no_day(database: Database) -> None:
    async with connection() as taken:
        with pytest.raises(NotFoundError):
            await budgets.of_day(taken, account_id="nobody")
