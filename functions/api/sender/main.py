"""The sender function: invoked asynchronously for a thread, it posts to its subscribers what they have not got yet.

While a run of the thread is executed its executor does that, and this leaves it to him.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.aws import clients
from shared.database import connection, facts, threads
from shared.database.pool import close_pool, open_pool
from shared.domain import ThreadLog
from shared.errors import EventLogUnavailableError
from shared.events import Logged
from shared.process import at_end, at_init, run
from shared.stream import log, wake
from shared.stream.audience import audience
from shared.stream.hang_up import hang_up
from shared.stream.redis_client import close_redis, open_redis
from shared.stream.sender import Sender
from shared.telemetry import bound, logger

# A run's end, and what was written with it.
_MOST_FACTS = 20
# Left for giving back what is not finished when the function's time ends.
_SPARE_S = 5.0


async def _connect() -> None:
    await asyncio.gather(open_pool(), open_redis(), clients.dynamodb())


at_init(_connect)
at_end(close_pool)
at_end(close_redis)


class Replay:
    """What the log holds, up to where it ended when it was looked at (``Source`` of a sender).

    ``facts``: the newest of the database, for a log that does not have them. ``extends``: whether what is appended
    meanwhile is for this reader, too. It is not for one of another account: whether the thread is public still, and
    from where on, was asked once.
    """

    closing = True

    def __init__(self, log: ThreadLog, *, newest_seq: int, facts: Sequence[Logged] = (), extends: bool = True) -> None:
        self.log = log
        self._newest_seq = newest_seq
        self._facts = facts
        self._extends = extends

    async def newest_after(self, cursor: int) -> int | None:
        """The log's newest event, or what PostgreSQL knows to have been there."""
        if self._extends and cursor >= self._newest_seq:
            self._newest_seq = max(self._newest_seq, await _last_logged(self.log))
        return self._newest_seq if self._newest_seq > cursor else None

    def reaches(self, cursor: int) -> bool:
        """The log comes first."""
        del cursor
        return False

    def tail_after(self, cursor: int) -> list[Logged]:
        """The facts after ``cursor``."""
        return [fact for fact in self._facts if fact.seq > cursor]


async def _last_logged(thread_log: ThreadLog) -> int:
    """The number of the log's newest event; 0 if it has none, or is away: then what the database knows is told."""
    try:
        return await log.last_seq(thread_log) or 0
    except EventLogUnavailableError:
        logger.warning("the event log is away", exc_info=True)
        return 0


def handler(event: dict[str, Any], context: Any) -> None:
    """Serve one thread, ``{"thread_id", "account_id"}``, or close connections, ``{"close": [connection_id]}``."""
    if "close" in event:
        with bound(request_id=event.get("request_id")):
            run(_close(event["close"]))
        return
    remaining_s = context.get_remaining_time_in_millis() / 1000
    with bound(request_id=event.get("request_id"), thread_id=event["thread_id"]):
        run(
            _serve(
                UUID(event["thread_id"]),
                account_id=event["account_id"],
                limit_s=max(remaining_s - _SPARE_S, remaining_s / 2),
                function=context.function_name,
            )
        )


async def _close(connection_ids: Sequence[str]) -> None:
    """End connections whose credential is good no more. Lambda invokes again if one could not be."""
    await asyncio.gather(*(hang_up(connection_id) for connection_id in connection_ids))
    logger.info("closed", extra={"connections": len(connection_ids)})


async def _serve(thread_id: UUID, *, account_id: str, limit_s: float, function: str) -> None:
    async with connection() as taken:
        position = await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)
        if position is None:
            # It may be another account's, whose events these subscribers must not see.
            logger.info("there is no such thread in the account")
            return
        known = await facts.newest(taken, log=position.log, most=_MOST_FACTS)
    if position.held:
        logger.info("the run's executor serves the thread")
        return
    watching = await audience(position.log, account_id=account_id)
    if not watching:
        return
    newest_seq = max(position.last_seq, await _last_logged(position.log))
    own, others = (Replay(position.log, newest_seq=newest_seq, facts=known, extends=to) for to in (True, False))
    tasks = [
        asyncio.create_task(Sender(subscription, own if subscription.reader_id is None else others).run())
        for subscription in watching
    ]
    done, late = await asyncio.wait(tasks, timeout=limit_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    failed = [error for task in done if (error := task.exception()) is not None]
    logger.info("served", extra={"subscribers": len(tasks), "late": len(late), "failed": len(failed)})
    if late:
        # Slow, or far behind: a fresh invocation goes on from their cursors.
        await wake.sender(thread_id=thread_id, account_id=account_id, function=function)
    if failed:
        # Lambda invokes again what has failed.
        raise failed[0]
