"""What the limit on rates costs, and how exact it is: ``make bench-limits``.

50 clients, each with a limiter of its own as 50 processes have, ask 2,000 times a second together for one account,
which may do half of that. Counted: what is admitted, against burst and rate over the time it took by Redis' clock;
and what is sent to Redis for each request. Beside it the same script with nobody else asking, against a PING of the
same Redis: what a request waits for the limiter, and how much of that is the way to Redis and back.
"""

import asyncio
import os
import time
from typing import Any

from redis.asyncio.connection import AbstractConnection

from bench.report import distribution, report, sized
from functions.api.limits.gcra import Limit
from functions.api.limits.limiter import RateLimiter, key
from shared.stream import redis_client

CLIENTS = 50
REQUESTS_PER_S = sized(2000, 500)
SECONDS = sized(10, 1)
ALONE = sized(2000, 20)
LIMIT = Limit(requests_per_minute=60_000, burst=500)
ROOMY = Limit(requests_per_minute=1_000_000, burst=1_000_000)


class Sent:
    """How many commands have been sent to Redis by this process."""

    def __init__(self) -> None:
        self.count = 0
        send = AbstractConnection.send_packed_command

        async def counting(connection: Any, command: Any, *arguments: Any, **more: Any) -> None:
            self.count += 1
            await send(connection, command, *arguments, **more)

        AbstractConnection.send_packed_command = counting  # pyright: ignore[reportAttributeAccessIssue] - it counts, then does the same


def limiter(account_id: str, limit: Limit) -> RateLimiter:
    """A limiter that has looked up the account's plan; it waits for Redis as long as it takes."""
    made = RateLimiter(redis_patience_s=60)
    made._limits.put(account_id, limit)
    return made


async def redis_s(redis: Any) -> float:
    """Redis' clock."""
    seconds, microseconds = await redis.time()
    return seconds + microseconds / 1e6


async def paced(redis: Any, sent: Sent) -> dict[str, float]:
    """The clients together: admitted, expected, round trips a request, waits in ms."""
    account_id = "bench-paced"
    await redis.delete(key(account_id))
    waits: list[float] = []
    admitted = 0
    begun = time.perf_counter()

    async def client(place: int) -> None:
        nonlocal admitted
        own = limiter(account_id, LIMIT)
        for number in range(REQUESTS_PER_S * SECONDS // CLIENTS):
            due = begun + (number * CLIENTS + place) / REQUESTS_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked = time.perf_counter()
            verdict = await own.take(account_id)
            admitted += verdict.admitted
            waits.append((time.perf_counter() - asked) * 1000)

    # The time counts from the first request on, not from the first of the connections.
    await asyncio.gather(*(limiter("bench-other", ROOMY).take("bench-other") for _ in range(CLIENTS)))
    redis_begun = await redis_s(redis)
    before = sent.count
    begun = time.perf_counter()
    await asyncio.gather(*map(client, range(CLIENTS)))
    commands = sent.count - before
    took = await redis_s(redis) - redis_begun
    expected = LIMIT.burst + took * LIMIT.requests_per_minute / 60
    said = distribution(waits)
    return {
        "requests/s": len(waits) / took,
        "admitted": admitted,
        "expected": expected,
        "commands a request": commands / len(waits),
        "p50 ms": said["p50"],
        "p99 ms": said["p99"],
    }


async def alone(redis: Any) -> tuple[list[float], list[float]]:
    """Waits in ms with nobody else asking, taking turns: for the limiter, for a PING."""
    own = limiter("bench-alone", ROOMY)
    waits: tuple[list[float], list[float]] = ([], [])
    for number in range(ALONE + 100):
        for kept, ask in zip(
            waits,
            (lambda: own.take("bench-alone"), redis.ping),
            strict=True,
        ):
            asked = time.perf_counter()
            await ask()
            if number >= 100:
                kept.append((time.perf_counter() - asked) * 1000)
    return waits


async def _bench() -> None:
    # Asked for by the settings, and used by nothing here.
    os.environ |= {"SUBSCRIPTIONS_TABLE": "none", "CONNECTIONS_URL": "none"}
    sent = Sent()
    await redis_client.open_redis()
    redis = redis_client.redis()
    limited, ping = await alone(redis)
    together = await paced(redis, sent)
    await redis.aclose()
    mine, bare = distribution(limited), distribution(ping)
    report(
        "limits",
        title=f"{CLIENTS} clients, {REQUESTS_PER_S} requests/s, {SECONDS} s; and one alone",
        rows={
            "together": together,
            "alone": {"commands a request": 1, "p50 ms": mine["p50"], "p99 ms": mine["p99"]},
            "PING": {"commands a request": 1, "p50 ms": bare["p50"], "p99 ms": bare["p99"]},
        },
        figures={
            "admitted_error_percent": round(abs(together["admitted"] / together["expected"] - 1) * 100, 2),
            "round_trips": round(together["commands a request"], 3),
            "added_us_p50": round(mine["p50"] * 1000),
            "ping_us_p50": round(bare["p50"] * 1000),
            "together_ms_p50": round(together["p50 ms"], 2),
            "together_ms_p99": round(together["p99 ms"], 2),
            "requests_per_s": round(together["requests/s"]),
            "requests": REQUESTS_PER_S * SECONDS,
        },
    )


if __name__ == "__main__":
    asyncio.run(_bench())
