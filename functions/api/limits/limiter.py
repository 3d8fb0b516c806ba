"""The limiter: one Redis command a request, or the same arithmetic in the process while Redis is away."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from functions.api.limits.gcra import Limit, Verdict, take
from functions.api.recent import MOST, Recent
from shared.database import connection, plans
from shared.errors import DatabaseUnavailableError, EventLogUnavailableError, RateLimitedError
from shared.telemetry import logger

# A plan that is changed counts everywhere within a minute.
PLAN_LIFE_S = 60.0
# A limiter that keeps requests waiting is worse than one that lets a few more in.
REDIS_PATIENCE_S = 0.5
# What a connection that is open may send while nobody knows its account's plan.
UNKNOWN_PLAN = Limit(60, 20)
# What one may send that is refused for coming too fast, before it is closed.
STRIKES = Limit(10, 20)
# Redis that is away is not asked again for every request.
_AWAY_S = 1.0

_SCRIPT = (Path(__file__).parent / "gcra.lua").read_text(encoding="utf-8")


class LocalLimiter:
    """Arrival times in the process: it knows nothing of what other processes admit."""

    def __init__(self) -> None:
        self._arrivals: OrderedDict[str, int] = OrderedDict()

    def take(self, account_id: str, limit: Limit, *, now_us: int) -> Verdict:
        """Admit one request, or refuse it."""
        arrival, verdict = take(self._arrivals.pop(account_id, now_us), now_us, limit)
        self._arrivals[account_id] = arrival
        if len(self._arrivals) > MOST:
            self._arrivals.popitem(last=False)
        return verdict


class RateLimiter:
    """Admits requests of accounts at the rates of their plans."""

    def __init__(
        self,
        *,
        redis_patience_s: float = REDIS_PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis_patience_s = redis_patience_s
        self._clock = clock
        self._limits: Recent[str, Limit] = Recent(life_s=PLAN_LIFE_S, clock=clock)
        self._local = LocalLimiter()
        self._away_until = float("-inf")

    async def admit(self, account_id: str, *, unknown: Limit | None = None) -> Verdict:
        """Count one request. ``unknown``: the limit while the account's plan is not known, and PostgreSQL is away.

        Raises:
            RateLimitedError: it is one too many.
            DatabaseUnavailableError: the account's plan is not known, and PostgreSQL is away.
        """
        try:
            limit = await self._limit(account_id)
        except DatabaseUnavailableError:
            if unknown is None:
                raise
            limit = unknown
        verdict = await self._count(account_id, limit)
        refuse(verdict)
        return verdict

    async def strike(self, connection_id: str) -> Verdict:
        """Count something that a connection has sent in vain; not admitted: it has done so too often."""
        return await self._count(f"strikes of {connection_id}", STRIKES)

    async def take(self, account_id: str) -> Verdict:
        """As :meth:`admit`, but it says so and does not raise if the request is one too many."""
        return await self._count(account_id, await self._limit(account_id))

    async def _count(self, name: str, limit: Limit) -> Verdict:
        if self._clock() >= self._away_until:
            try:
                async with asyncio.timeout(self._redis_patience_s):
                    return await ask_redis(name, limit)
            except (EventLogUnavailableError, TimeoutError):
                self._away_until = self._clock() + _AWAY_S
                logger.warning("Redis is away: this process limits rates by itself", exc_info=True)
        return self._local.take(name, limit, now_us=int(self._clock() * 1_000_000))

    async def _limit(self, account_id: str) -> Limit:
        known = self._limits.get(account_id)
        if known is not None:
            return known
        async with connection() as taken:
            rate, burst = await plans.request_rate(taken, account_id=account_id)
        return self._limits.put(account_id, Limit(rate, burst))


async def ask_redis(account_id: str, limit: Limit) -> Verdict:
    """Count one request in Redis. Raises EventLogUnavailableError."""
    # Deferred: the client of Redis costs a cold start 150 ms, and what a function is asked without a credential, or a
    # snapshot of it, has no use for it.
    from shared.stream.redis_client import redis  # noqa: PLC0415

    answer: Any = await redis().eval(_SCRIPT, 1, key(account_id), limit.interval_us, limit.burst)
    admitted, ahead_us = answer
    return Verdict(limit, bool(admitted), int(ahead_us))


def key(account_id: str) -> str:
    """Where Redis keeps the account's arrival time: an account id is anything of any length."""
    return f"rate:{hashlib.sha256(account_id.encode()).hexdigest()[:32]}"


def refuse(verdict: Verdict) -> None:
    """Raise what a request is told that was one too many.

    Raises:
        RateLimitedError: it was.
    """
    if verdict.admitted:
        return
    limit = verdict.limit
    error = RateLimitedError(
        f"this account's plan allows {limit.requests_per_minute} requests a minute, {limit.burst} of them at once:"
        f" come back in {verdict.next_s} s",
        detail={
            "requests_per_minute": limit.requests_per_minute,
            "burst": limit.burst,
            "retry_after_s": verdict.next_s,
        },
    )
    error.retry_after_s = verdict.next_s
    raise error


@cache
def limiter() -> RateLimiter:
    """The process's limiter."""
    return RateLimiter()
