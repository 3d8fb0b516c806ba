"""Whether a Redis can be used: ``python -m scripts.redis_check``, with ``REDIS_URL`` in the environment.

It does what the functions do, by their own code: appends to a log by the script, reads it, waits for more, and asks for
the rate of an account. ``up`` runs it before it starts anything on a Redis of the user.

Prints the kind, ``cluster`` or ``ordinary``, and exits with 0; else the problem, one line, and exits with 1.
"""

import asyncio
import os
import sys
from uuid import uuid4

from redis.asyncio import RedisCluster
from redis.exceptions import AuthenticationError

from functions.api.limits import limiter
from functions.api.limits.gcra import Limit
from shared import events
from shared.domain import LogHold
from shared.errors import EventLogUnavailableError
from shared.stream import control, log
from shared.stream.redis_client import redis

_WAIT_MS = 20
# What a script is refused has no class of its own: words of the reply, by which it is known.
_PROBLEMS = {
    "readonly": "is a replica that takes no writes, name the primary",
    "permissions": "does not permit its user what is needed: scripts, streams, blocking reads",
    "oom": "has no memory left",
    "unknown command": "lacks a command, Redis 6.2 or Valkey is needed",
}


class UnusableError(Exception):
    """What is wrong, in one line."""


async def check() -> str:
    """Use the Redis of the settings as the functions do; returns its kind.

    Raises:
        UnusableError: it cannot be used.
    """
    try:
        client = await redis().connect()
        await _use_log()
        await limiter.ask_redis(f"check-{uuid4()}", Limit(requests_per_minute=60, burst=1))
    except (EventLogUnavailableError, ValueError) as error:
        raise UnusableError(_problem(error.__cause__ or error)) from error
    finally:
        await redis().aclose()
    return "cluster" if isinstance(client, RedisCluster) else "ordinary"


async def _use_log() -> None:
    generation = uuid4()
    hold = LogHold(thread_id=uuid4(), generation=generation, account_id="check", epoch=1, last_seq=0, reserved_seq=1000)
    event = events.number(events.custom(uuid4(), "check", {}), generation=generation, seq=1)
    appended = await log.append(hold, [event], expected_seq=0, proved=True)
    if appended.answer != "ok" or await log.read(hold, after_seq=0, limit=1) != [event]:
        raise UnusableError("it does not have what was just written to it")
    await log.wait(hold, after_seq=1, limit=1, block_ms=_WAIT_MS)
    await log.forget(generation)
    await control.forget(generation)


def _problem(error: BaseException) -> str:
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, AuthenticationError):
        return f"refuses the password ({said})"
    for word, problem in _PROBLEMS.items():
        if word in said.lower():
            return f"{problem} ({said})"
    return f"does not work ({said})"


def main() -> int:
    """Check, and say what was found."""
    # Asked for by the settings, and used by nothing here.
    os.environ |= {"SUBSCRIPTIONS_TABLE": "none", "CONNECTIONS_URL": "none"}
    try:
        print(asyncio.run(check()))
    except UnusableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
