"""What statements cost at any size: ``make bench-scale``.

The same data twice, of 10,000 messages and of a million, written by COPY. Every statement of ``shared/database/sql`` is
executed on both, with the same question, and undone. What it reads is counted by the server, with all that its
functions, triggers and references read: blocks, and rows that a sequential scan went over. Then, on the large one: a
thread with 100 runs is deleted as the API does it, and answers are kept for one account as fast as it goes, against 60.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

os.environ.setdefault("POSTGRES_POOL_SIZE", "16")

import asyncpg

from bench.database import database
from bench.report import report, sized
from bench.scale_data import HOT, Ids, load
from bench.scale_statements import ARGUMENTS, LINEAR
from shared.database import messages, threads, transaction
from shared.database.pool import DirectConnection
from shared.database.queries import queries

SMALL, LARGE = sized(10_000, 1_000), sized(1_000_000, 10_000)
GOAL_GROWTH = 2.0
GOAL_DELETE_S = 1.0
GOAL_HOT = 0.5
MOST_SCANNED = 1000
# Fewer blocks than the levels of some indices: there one level more is no growth.
LEAST_BLOCKS = 12
MANY_ACCOUNTS = 60
AT_ONCE = 12
ROUND_S = sized(4.0, 0.5)
ROUNDS = sized(3, 1)

_COUNTS = """
SELECT c.relname, pg_stat_get_xact_blocks_fetched(c.oid) AS blocks,
    CASE WHEN c.relkind = 'r' THEN pg_stat_get_xact_tuples_returned(c.oid) ELSE 0 END AS scanned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'pg_toast') AND c.relkind IN ('r', 'i', 't')
"""


@dataclass(frozen=True)
class Read:
    """What a statement has read: blocks, and by table how many rows in sequence."""

    blocks: int
    scanned: dict[str, int]


def statements() -> dict[str, str]:
    """Every statement by ``<file>.<name>``.

    Raises:
        SystemExit: one has no arguments in ``bench.scale_statements``.
    """
    folder = Path(__file__).parents[1] / "shared/database/sql"
    found = {
        f"{file.stem}.{name}": sql for file in sorted(folder.glob("*.sql")) for name, sql in queries(file.stem).items()
    }
    unknown = sorted(found.keys() ^ ARGUMENTS.keys()) + sorted(LINEAR.keys() - found.keys())
    if unknown:
        raise SystemExit(f"bench/scale_statements.py and shared/database/sql differ in {', '.join(unknown)}")
    return found


def argument(word: str, ids: Ids) -> Any:
    """What a word of ``bench.scale_statements`` stands for."""
    if word.startswith("["):
        return [argument(one, ids) for one in word[1:-1].split(",")]
    if word.startswith("'"):
        return word[1:]
    constants: dict[str, Any] = {"-": None, "t": True, "f": False, "{}": "{}"}
    if word in constants:
        return constants[word]
    return int(word) if word.lstrip("-").isdigit() else ids.values[word]


async def _counts(connection: DirectConnection) -> dict[str, tuple[int, int]]:
    return {row["relname"]: (row["blocks"], row["scanned"]) for row in await connection.fetch(_COUNTS)}


async def read_by(connection: DirectConnection, sql: str, arguments: Sequence[Any]) -> Read:
    """Execute a statement, and undo it."""
    undone = connection.transaction()
    await undone.start()
    try:
        before = await _counts(connection)
        await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS)\n{sql}", *arguments)
        after = await _counts(connection)
    finally:
        await undone.rollback()
    differences = {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in after}
    scanned = {name: rows for name, (_, rows) in differences.items() if rows}
    return Read(sum(blocks for blocks, _ in differences.values()), scanned)


async def read_by_all(connection: DirectConnection, ids: Ids) -> dict[str, Read]:
    """What every statement reads."""
    found: dict[str, Read] = {}
    for name, sql in statements().items():
        try:
            found[name] = await read_by(connection, sql, [argument(word, ids) for word in ARGUMENTS[name]])
        except (asyncpg.PostgresError, asyncpg.InterfaceError, KeyError) as error:
            raise SystemExit(f"{name} cannot be asked as bench/scale_statements.py says: {error!r}") from error
    return found


def growth(small: Read, large: Read) -> float:
    """How many times as many blocks are read of a hundred times as many rows."""
    return large.blocks / max(small.blocks, LEAST_BLOCKS)


async def delete_threads(thread_ids: Sequence[UUID]) -> float:
    """Delete threads as the API does; seconds of the slowest."""
    slowest = 0.0
    for thread_id in thread_ids:
        begun = time.perf_counter()
        async with transaction() as taken:
            await threads.delete(taken, thread_id=thread_id, account_id=HOT)
        slowest = max(slowest, time.perf_counter() - begun)
    return slowest


async def _answer(account_id: str, thread_id: UUID) -> None:
    async with transaction() as taken:
        await messages.insert(
            taken,
            message_id=uuid4(),
            thread_id=thread_id,
            account_id=account_id,
            run_number=1,
            type="assistant",
            is_llm_message=True,
            content={"role": "assistant", "content": "hello"},
            metadata={"usage": {"total_tokens": 5}, "price_usd": 0.001},
        )


async def _rate(places: Sequence[tuple[str, UUID]]) -> float:
    """Answers a second, each worker on threads of its own."""
    kept = 0

    async def keep(mine: Sequence[tuple[str, UUID]]) -> None:
        nonlocal kept
        while True:
            for place in mine:
                await _answer(*place)
                kept += 1

    begun = time.perf_counter()
    with suppress(TimeoutError):
        async with asyncio.timeout(ROUND_S):
            await asyncio.gather(*(keep(places[worker::AT_ONCE]) for worker in range(AT_ONCE)))
    return kept / (time.perf_counter() - begun)


async def hot_account(connection: DirectConnection) -> tuple[float, float]:
    """Answers a second of one account, and of many, in turns."""
    one = [("one", uuid4()) for _ in range(MANY_ACCOUNTS)]
    many = [(f"of-many-{number}", uuid4()) for number in range(MANY_ACCOUNTS)]
    for account_id, thread_id in (*one, *many):
        await connection.execute("INSERT INTO accounts VALUES ($1) ON CONFLICT DO NOTHING", account_id)
        await connection.execute("INSERT INTO threads (thread_id, account_id) VALUES ($1, $2)", thread_id, account_id)
    rates: dict[str, list[float]] = {"one": [], "many": []}
    for _ in range(ROUNDS):
        rates["one"].append(await _rate(one))
        rates["many"].append(await _rate(many))
    return sum(rates["one"]) / ROUNDS, sum(rates["many"]) / ROUNDS


async def measure() -> dict[str, Any]:
    """The figures."""
    async with database() as connection:
        small = await read_by_all(connection, await load(connection, messages=SMALL))
    async with database() as connection:
        begun = time.perf_counter()
        ids = await load(connection, messages=LARGE)
        loaded_s = time.perf_counter() - begun
        large = await read_by_all(connection, ids)
        delete_s = await delete_threads(ids.to_delete)
        one, many = await hot_account(connection)
    grown = {name: growth(small[name], large[name]) for name in large}
    scans = {name: read.scanned for name, read in large.items() if max(read.scanned.values(), default=0) > MOST_SCANNED}
    worst = sorted((name for name in grown if name not in LINEAR), key=lambda name: -grown[name])
    report(
        "scale",
        title=f"{len(large)} statements, {SMALL} and {LARGE} messages",
        rows={
            name: {"small": small[name].blocks, "large": large[name].blocks, "growth": grown[name]}
            for name in (*worst[:10], *LINEAR)
        },
        figures=(
            figures := {
                "messages": LARGE,
                "loaded_s": round(loaded_s, 1),
                "statements": len(large),
                "linear": {name: {"growth": round(grown[name], 1), "bound": bound} for name, bound in LINEAR.items()},
                "buffers_growth_worst": round(grown[worst[0]], 2),
                "worst": worst[0],
                "over": {name: round(grown[name], 2) for name in worst if grown[name] > GOAL_GROWTH},
                "sequential_scans_over_1000_rows": len([name for name in scans if name not in LINEAR]),
                "scans": scans,
                "delete_thread_100_runs_s": round(delete_s, 3),
                "answers_per_s_one_account": round(one),
                "answers_per_s_60_accounts": round(many),
                "hot_account_over_many": round(one / many, 2),
            }
        ),
    )
    return figures


def main() -> None:
    """Measure, report; fails beyond a goal, unless everything is at its smallest."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    told = asyncio.run(measure())
    failed = (
        told["buffers_growth_worst"] > GOAL_GROWTH
        or told["sequential_scans_over_1000_rows"]
        or told["delete_thread_100_runs_s"] > GOAL_DELETE_S
        or told["hot_account_over_many"] < GOAL_HOT
    )
    if failed and LARGE == 1_000_000:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
