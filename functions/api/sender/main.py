"""The sender function: invoked asynchronously for a thread, it posts to its subscribers what they have not got yet.

While a run of the thread is executed its executor does that, and this leaves it to him. An account's plan says how many
of its threads are served at a time: one more waits for whoever serves the others.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.aws import clients
from shared.database import connection, sender_calls, threads, waits
from shared.database.pool import close_pool, open_pool
from shared.domain import ThreadLog
from shared.errors import EventLogUnavailableError, SubscriptionsUnavailableError, SunaError, TooManyWaitsError
from shared.events import Logged
from shared.process import at_end, at_init, run
from shared.stream import log, wake
from shared.stream.audience import dismissed, other_audience, own_audience
from shared.stream.hang_up import hang_up
from shared.stream.redis_client import close_redis, open_redis
from shared.stream.sender import Sender
from shared.stream.subscriptions import Subscription
from shared.telemetry import bound, logger

# Left for giving back what is not finished when the function's time ends.
_SPARE_S = 5.0
# Below the time that an answer holds (``audience.PUBLIC_S``).
_ASK_AGAIN_S = 2.0


async def _connect() -> None:
    await asyncio.gather(open_pool(), open_redis(), clients.dynamodb())


at_init(_connect)
at_end(close_pool)
at_end(close_redis)


class Replay:
    """What the log holds, up to where it ended when it was looked at (``Source`` of a sender).

    ``newest_seq``: of its newest event, or the last number that PostgreSQL knows to be used. ``extends``: whether what
    is appended meanwhile is for this reader, too. It is not for one of another account: an answer that the thread is
    public is good for what was appended before it.
    """

    closing = True

    def __init__(self, log: ThreadLog, *, newest_seq: int, extends: bool = True) -> None:
        self.log = log
        self._newest_seq = newest_seq
        self._extends = extends

    async def newest_after(self, cursor: int) -> int | None:
        """The log's newest event, or what PostgreSQL knows to have been there."""
        if self._extends and cursor >= self._newest_seq:
            self._newest_seq = max(self._newest_seq, await _last_logged(self.log))
        return self._newest_seq if self._newest_seq > cursor else None

    def reaches(self, cursor: int) -> bool:
        """The log is asked."""
        del cursor
        return False

    def tail_after(self, cursor: int) -> list[Logged]:
        """Nothing: what there is, is in the log, or owed to it."""
        del cursor
        return []


async def _last_logged(thread_log: ThreadLog) -> int:
    """The number of the log's newest event; 0 if it has none, or is away: then what the database knows is told."""
    try:
        return await log.last_seq(thread_log) or 0
    except EventLogUnavailableError:
        logger.warning("the event log is away", exc_info=True)
        return 0


def handler(event: dict[str, Any], context: Any) -> None:
    """Serve one thread, ``{"thread_id", "account_id"}``, or close connections, ``{"close": [connection_id],
    "last_frame"}``.
    """
    if "close" in event:
        with bound(request_id=event.get("request_id")):
            run(_close(event["close"], last_frame=event.get("last_frame")))
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


async def _close(connection_ids: Sequence[str], *, last_frame: str | None) -> None:
    """End connections whose credential is good no more. Lambda invokes again if one could not be."""
    await asyncio.gather(*(hang_up(one, last_frame=last_frame) for one in connection_ids))
    logger.info("closed", extra={"connections": len(connection_ids)})


async def _keep_asking(reading: dict[Sender, asyncio.Task[bool]], thread_log: ThreadLog, account_id: str) -> None:
    """Serve readers of other accounts for no longer than the thread is public."""
    try:
        while not all(task.done() for task in reading.values()):
            await asyncio.sleep(_ASK_AGAIN_S)
            try:
                found = {one.connection_id: one for one in await other_audience(thread_log, account_id=account_id)}
            except SunaError:
                # They wait for an answer.
                logger.warning("who watches the thread could not be read", exc_info=True)
                continue
            for sender, task in reading.items():
                if (seen := found.get(sender.connection_id)) is not None:
                    sender.change(seen)
                else:
                    task.cancel()
    finally:
        # Nobody asks for them any more.
        for task in reading.values():
            task.cancel()


async def _serve(thread_id: UUID, *, account_id: str, limit_s: float, function: str) -> None:
    """Serve the thread, and then those of its account that had to wait."""
    ends_at = time.monotonic() + limit_s
    place = await _place(thread_id, account_id=account_id, for_s=limit_s + 2 * _SPARE_S)
    if place is None:
        logger.info("others serve threads of this account: one of them goes on with this one")
        return
    try:
        await _serve_thread(thread_id, account_id=account_id, limit_s=limit_s)
        while (left_s := ends_at - time.monotonic()) > 0 and (call := await _next_call(account_id)) is not None:
            await _serve_thread(call.thread_id, account_id=account_id, limit_s=left_s)
            async with connection() as taken:
                await sender_calls.answered(taken, call, account_id=account_id)
    finally:
        async with connection() as taken:
            await waits.give_back(taken, place)
    # Slow, or far behind, or somebody who came when the last one had been looked for: a fresh invocation goes on.
    waiting = await _next_call(account_id)
    if waiting is not None:
        await wake.sender(thread_id=waiting.thread_id, account_id=account_id, function=function)


async def _place(thread_id: UUID, *, account_id: str, for_s: float) -> waits.Place | None:
    """A place among the account's senders; ``None``: the thread waits for whoever has one."""
    async with connection() as taken:
        try:
            return await waits.take(taken, account_id=account_id, for_s=for_s, kind="sender")
        except TooManyWaitsError:
            await sender_calls.add(taken, thread_id=thread_id, account_id=account_id)
        try:
            # Whoever had the place may have looked for the last time just before.
            return await waits.take(taken, account_id=account_id, for_s=for_s, kind="sender")
        except TooManyWaitsError:
            return None


async def _next_call(account_id: str) -> sender_calls.Call | None:
    async with connection() as taken:
        return await sender_calls.next_of(taken, account_id=account_id)


async def _serve_thread(thread_id: UUID, *, account_id: str, limit_s: float) -> None:
    async with connection() as taken:
        position = await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)
        if position is None:
            # It may be another account's, whose events these subscribers must not see.
            logger.info("there is no such thread in the account")
            return
    if position.held:
        logger.info("the run's executor serves the thread")
        return
    # Before it is asked whether the thread is public: what is said afterwards may be said in private.
    newest_seq = max(position.last_seq, await _last_logged(position.log))
    own, others = (Replay(position.log, newest_seq=newest_seq, extends=to) for to in (True, False))
    failed: list[BaseException] = []
    serving = _sending(await own_audience(position.log, account_id=account_id), own)
    reading: dict[Sender, asyncio.Task[bool]] = {}
    try:
        reading = _sending(await other_audience(position.log, account_id=account_id), others)
    except SubscriptionsUnavailableError as error:
        # The thread's own do not wait for what others have written, nor fail with it.
        failed.append(error)
    asking = asyncio.create_task(_keep_asking(reading, position.log, account_id))
    tasks = [*serving.values(), *reading.values()]
    done: set[asyncio.Task[bool]] = set()
    late: set[asyncio.Task[bool]] = set()
    if tasks:
        done, late = await asyncio.wait(tasks, timeout=limit_s)
    for task in (asking, *late):
        task.cancel()
    await asyncio.gather(asking, *late, return_exceptions=True)
    await dismissed(timeout_s=_SPARE_S / 2)
    failed += [error for task in (asking, *done) if not task.cancelled() and (error := task.exception()) is not None]
    late |= {task for task in done if not task.cancelled() and task.exception() is None and not task.result()}
    logger.info("served", extra={"subscribers": len(tasks), "late": len(late), "failed": len(failed)})
    if late:
        # Slow, or far behind, or its lease was lost: the next one goes on from their cursors.
        async with connection() as taken:
            await sender_calls.add(taken, thread_id=thread_id, account_id=account_id)
    if failed:
        # Lambda invokes again what has failed.
        raise failed[0]


def _sending(watching: Sequence[Subscription], source: Replay) -> dict[Sender, asyncio.Task[bool]]:
    senders = [Sender(subscription, source) for subscription in watching]
    return {sender: asyncio.create_task(sender.run()) for sender in senders}
