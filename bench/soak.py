"""What grows while the stack works: ``make soak`` (15 minutes, two accounts).

Runs with answers, tools and failures, commands, requests and connections that come and go, at a bounded rate. Every ten
seconds: memory and open files of each function's processes, connections to Redis and PostgreSQL. A function has more
processes at times, and less at others: its memory is that of those which live from the warm-up to the end, on average.
What counts is the slope after the warm-up, which begins with more conversations at once than come afterwards: pools of
connections grow with the most that were ever needed at a time, and would reach that by chance, some time or other.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import psutil
from redis.asyncio import Redis

from bench.account import Bench, roomy_account
from bench.conversation import Conversation
from bench.report import SMALLEST, keep, show, sized

ACCOUNTS = ("soak-a", "soak-b")
EVERY_S = sized(10.0, 1.0)
AT_ONCE = 4
# Before that: all open together at the end, but not begun together, which is a hundred processes that start.
AT_FIRST = sized(40, 2)
FILL_EVERY_S = 0.5
FILLING = sized("[[tokens 60 rate 3]]", "[[tokens 3 rate 3]]")
SCRIPTS = (
    "[[tokens 60 rate 60]]",
    "[[think 10]] [[tokens 20 rate 50]]",
    '[[tool http_fetch {"url": "http://127.0.0.1/"}]] [[say refused]]',
    '[[tool complete {"text": "done"}]]',
    "[[status 500]]",
    "[[break after 5]]",
)
# Growth an hour, of what there is, beyond which something is not flat; and what the series must have grown by for that:
# less than one file, connection or MiB cannot be told from its coming and going.
FLAT_SHARE_AN_HOUR = 0.25
LEAST_GROWTH = 1.0
# Printed only: events stay for 24 hours, of deleted threads too, so what Redis holds follows what was said.
PRINTED_ONLY = frozenset({"Redis: MiB"})
# Older than anybody asks about, so that it is swept meanwhile.
OLD_ROWS = sized(5000, 50)
_AGE = """
INSERT INTO idempotency_keys (account_id, route, key, body_hash, status, answer, created_at)
SELECT $1, 'POST /soak', place::text, '', 200, '{}', now() - interval '25 hours'
FROM generate_series(1, $2::int) AS place
"""


@dataclass
class Series:
    """Values over time, in seconds since the beginning."""

    at: list[float] = field(default_factory=list[float])
    values: list[float] = field(default_factory=list[float])

    def add(self, at: float, value: float) -> None:
        """One more value."""
        self.at.append(at)
        self.values.append(value)

    @property
    def slope_an_hour(self) -> float:
        """By least squares."""
        return statistics.linear_regression(self.at, self.values).slope * 3600

    @property
    def is_growing(self) -> bool:
        """Whether it is not flat."""
        growth = self.slope_an_hour * (self.at[-1] - self.at[0]) / 3600
        return self.slope_an_hour > FLAT_SHARE_AN_HOUR * statistics.fmean(self.values) and growth >= LEAST_GROWTH


@dataclass
class Load:
    """What was asked of the stack."""

    done: int = 0
    failed: int = 0
    swept: int = 0
    problems: list[str] = field(default_factory=list[str])
    begun: float = field(default_factory=time.monotonic)

    def fail(self, error: BaseException) -> None:
        """A conversation has failed."""
        self.failed += 1
        self.problems.append(f"after {time.monotonic() - self.begun:.0f} s: {error!r}"[:200])


def processes(endpoint: str) -> dict[str, list[psutil.Process]]:
    """The stack's function processes, by function."""
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter(["cmdline"]):
        command: list[str] = process.info["cmdline"] or []  # pyright: ignore[reportAttributeAccessIssue]
        if "awslambdaric" not in command:
            continue
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("AWS_ENDPOINT_URL") == endpoint:
                found[environment.get("POWERTOOLS_SERVICE_NAME", command[-1])].append(process)
    return found


@dataclass(frozen=True)
class Look:
    """What one look saw of the processes: by name of the value, by process."""

    at: float
    values: dict[str, dict[int, float]]


def look_at_processes(bench: Bench, begun: float) -> Look:
    """Memory and open files of every process there is now."""
    values: dict[str, dict[int, float]] = defaultdict(dict)
    for service, ours in processes(bench.fields["aws_endpoint_url"]).items():
        for process in ours:
            with contextlib.suppress(psutil.Error):
                values[f"{service}: MiB a process"][process.pid] = process.memory_info().rss / 2**20
                values[f"{service}: open files a process"][process.pid] = process.num_fds()
    return Look(time.monotonic() - begun, values)


def of_the_lasting(looks: list[Look]) -> dict[str, Series]:
    """The average of the processes that were there at every look."""
    found: dict[str, Series] = defaultdict(Series)
    for name in looks[0].values:
        lasting = set.intersection(*(set(look.values.get(name, {})) for look in looks))
        for look in looks if lasting else []:
            found[name].add(look.at, statistics.fmean(look.values[name][pid] for pid in lasting))
    return found


async def sample(bench: Bench, look: Look, series: dict[str, Series]) -> None:
    """One value of each server's, and of what processes there are."""
    at = look.at
    series["function processes"].add(at, len({pid for values in look.values.values() for pid in values}))
    # What one server says of itself: a node of a cluster tells it to anybody, too.
    redis: Any = Redis.from_url(bench.fields["redis_url"], decode_responses=True)
    try:
        clients = await redis.info("clients")
        memory_of_redis = await redis.info("memory")
    finally:
        await redis.aclose()
    series["Redis: connections"].add(at, clients["connected_clients"])
    series["Redis: MiB"].add(at, memory_of_redis["used_memory"] / 2**20)
    database = await asyncpg.connect(bench.fields["database_url"])
    try:
        connections = await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
    finally:
        await database.close()
    series["PostgreSQL: connections"].add(at, connections)


async def grow_old(bench: Bench) -> None:
    """Leave rows that the sweep is to remove."""
    database = await asyncpg.connect(bench.fields["database_url"])
    try:
        await database.execute(_AGE, ACCOUNTS[0], OLD_ROWS)
    finally:
        await database.close()


async def swept(bench: Bench) -> int:
    """How many of them it has removed."""
    database = await asyncpg.connect(bench.fields["database_url"])
    try:
        left = await database.fetchval("SELECT count(*) FROM idempotency_keys WHERE route = 'POST /soak'")
    finally:
        await database.close()
    return OLD_ROWS - left


async def converse(bench: Bench, script: str) -> None:
    """A thread of its own, a run that is followed to its end, and what a page asks for afterwards."""
    async with Conversation(bench.stack) as conversation:
        async for _ in conversation.ask(script):
            pass
        await conversation.ping()
        await conversation.messages()
        async with httpx.AsyncClient(base_url=bench.stack.base_url, headers=bench.stack.headers, timeout=30) as http:
            thread = f"/threads/{conversation.thread_id}"
            for method, path, body in (
                ("GET", f"{thread}/history", None),
                ("POST", "/threads/search", {"limit": 5}),
                ("GET", f"{thread}/runs", None),
                ("GET", "/threads/not-a-uuid", None),
                ("DELETE", thread, None),
            ):
                answer = await http.request(method, path, json=body)
                if answer.status_code >= 500:
                    raise RuntimeError(f"{method} {path}: {answer.status_code}")


async def load(benches: list[Bench], until: float, told: Load) -> None:
    """Conversations one after the other, with pauses."""
    chance = random.Random(1)
    for script in itertools.cycle(SCRIPTS):
        if time.monotonic() >= until:
            return
        try:
            await converse(chance.choice(benches), script)
            told.done += 1
        except Exception as error:
            told.fail(error)
        await asyncio.sleep(chance.expovariate(1 / 0.3))


async def every(seconds: float, until: float, act: Callable[[], Awaitable[None]]) -> None:
    """Do something at once and again and again."""
    while time.monotonic() < until:
        await act()
        await asyncio.sleep(seconds)


async def measure(minutes: float) -> tuple[dict[str, Series], Load]:
    """The series behind the warm-up, which is a fifth of the time, and what was done meanwhile."""
    benches = [await roomy_account(account) for account in ACCOUNTS]
    begun = time.monotonic()
    until = begun + minutes * 60
    warm = begun + minutes * 12
    series: dict[str, Series] = defaultdict(Series)
    looks: list[Look] = []
    told = Load()

    async def look() -> None:
        if time.monotonic() >= warm:
            looks.append(look_at_processes(benches[0], begun))
            await sample(benches[0], looks[-1], series)

    async def fill(number: int) -> None:
        await asyncio.sleep(number * FILL_EVERY_S)
        await converse(benches[number % 2], FILLING)

    await grow_old(benches[0])
    filled = await asyncio.gather(*(fill(number) for number in range(AT_FIRST)), return_exceptions=True)
    for problem in filled:
        if problem is not None:
            told.fail(problem)
    told.done += AT_FIRST - told.failed
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(load(benches, until, told))
        group.create_task(every(EVERY_S, until, look))
    told.swept = await swept(benches[0])
    return series | of_the_lasting(looks), told


def main() -> None:
    """Measure, report; fails if something grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=sized(15.0, 0.1))
    minutes = parser.parse_args().minutes
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    series, told = asyncio.run(measure(minutes))
    rows: dict[str, dict[str, float]] = {}
    growing: list[str] = []
    for name, one in sorted(series.items()):
        if len(one.values) < 3:
            continue
        mean = statistics.fmean(one.values)
        rows[name] = {
            "first": one.values[0],
            "last": one.values[-1],
            "mean": mean,
            "max": max(one.values),
            "slope/h": one.slope_an_hour,
            "%/h": 100 * one.slope_an_hour / mean if mean else 0.0,
        }
        if name not in PRINTED_ONLY and one.is_growing:
            growing.append(name)
    show(f"{minutes:.0f} minutes, {told.done} conversations of two accounts, {told.failed} failed", rows)
    for problem in told.problems[:20]:
        print(problem)
    figures = {
        "minutes": minutes,
        "conversations": told.done,
        "failed": told.failed,
        "swept": f"{told.swept} of {OLD_ROWS} old rows",
        "slopes_an_hour": {name: round(row["slope/h"], 2) for name, row in rows.items()},
        "percent_an_hour": {name: round(row["%/h"], 1) for name, row in rows.items()},
        "growing": growing,
    }
    keep("soak" if minutes >= 15 else None, figures)
    # In seconds everything grows: nothing is warm yet.
    if ((growing or told.swept < OLD_ROWS) and not SMALLEST) or told.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
