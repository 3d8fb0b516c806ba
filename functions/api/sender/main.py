"""The sender function: invoked asynchronously for a thread, it posts to its subscribers what they have not got yet.

While a run of the thread is executed its executor does that, and this leaves it to him. An account's plan says how many
threads are served for it at a time: one more waits for whoever serves the others. The account is that of those who are
served: slow readers of a public thread take no place from the account whose thread it is.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from functions.api.sender.serving import serve_thread
from shared.aws import clients
from shared.database import connection, sender_calls, waits
from shared.database.pool import close_pool, open_pool
from shared.errors import TooManyWaitsError
from shared.process import at_end, at_init, run
from shared.stream import wake
from shared.stream.hang_up import hang_up
from shared.stream.redis_client import close_redis, open_redis
from shared.telemetry import bound, logger

# Left for giving back what is not finished when the function's time ends.
_SPARE_S = 5.0


async def _connect() -> None:
    await asyncio.gather(open_pool(), open_redis(), clients.dynamodb())


at_init(_connect)
at_end(close_pool)
at_end(close_redis)


def handler(event: dict[str, Any], context: Any) -> None:
    """Serve a thread to an account, ``{"thread_id", "account_id", "is_others"}``, or close connections,
    ``{"close": [connection_id], "last_frame"}``.
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
                is_others=event.get("is_others", False),
                limit_s=max(remaining_s - _SPARE_S, remaining_s / 2),
                function=context.function_name,
            )
        )


async def _close(connection_ids: Sequence[str], *, last_frame: str | None) -> None:
    """End connections that have no right to be open any more. Lambda invokes again if one could not be."""
    done = await asyncio.gather(
        *(hang_up(one, last_frame=last_frame) for one in connection_ids), return_exceptions=True
    )
    # All have been tried by now: one that the gateway does not close stops no other's end half way.
    for error in done:
        if isinstance(error, BaseException):
            raise error
    logger.info("closed", extra={"connections": len(connection_ids)})


async def _serve(thread_id: UUID, *, account_id: str, is_others: bool = False, limit_s: float, function: str) -> None:
    """Serve the thread to the account's subscribers, and then those threads for which it had to wait.

    ``is_others``: it is another account's thread, a public one.

    Raises what the thread could not be served for: Lambda invokes again. A thread that has waited and cannot be served
    waits here no more: whoever had a sender woken for it looks whether it was served, less and less often (``wake``).
    """
    ends_at = time.monotonic() + limit_s
    place = await _place(thread_id, account_id=account_id, is_others=is_others, for_s=limit_s + 2 * _SPARE_S)
    if place is None:
        logger.info("others serve this account: one of them goes on with this thread")
        return
    error = None
    try:
        try:
            await serve_thread(
                thread_id, account_id=account_id, is_others=is_others, limit_s=limit_s, function=function
            )
        except Exception as one:
            # The others that wait have nothing to do with it.
            error = one
        while (left_s := ends_at - time.monotonic()) > 0 and (call := await _next_call(account_id)) is not None:
            await _answer(call, account_id=account_id, limit_s=left_s, function=function)
    finally:
        async with connection() as taken:
            await waits.give_back(taken, place)
    # Slow, or far behind, or somebody who came when the last one had been looked for: a fresh invocation goes on.
    left = await _next_call(account_id)
    if left is not None:
        await wake.sender(thread_id=left.thread_id, account_id=account_id, is_others=left.is_others, function=function)
    if error is not None:
        raise error


async def _answer(call: sender_calls.Call, *, account_id: str, limit_s: float, function: str) -> None:
    """Serve a thread that waits, or fail to: it would be the next one again, and again."""
    try:
        await serve_thread(
            call.thread_id, account_id=account_id, is_others=call.is_others, limit_s=limit_s, function=function
        )
    except Exception:
        logger.exception("a thread could not be served", extra={"waited": str(call.thread_id)})
    async with connection() as taken:
        await sender_calls.answered(taken, call, account_id=account_id)


async def _place(thread_id: UUID, *, account_id: str, is_others: bool, for_s: float) -> waits.Place | None:
    """A place among the account's senders; ``None``: the thread waits for whoever has one."""
    async with connection() as taken:
        try:
            return await waits.take(taken, account_id=account_id, for_s=for_s, kind="sender")
        except TooManyWaitsError:
            await sender_calls.add(taken, thread_id=thread_id, account_id=account_id, is_others=is_others)
        try:
            # Whoever had the place may have looked for the last time just before.
            return await waits.take(taken, account_id=account_id, for_s=for_s, kind="sender")
        except TooManyWaitsError:
            return None


async def _next_call(account_id: str) -> sender_calls.Call | None:
    async with connection() as taken:
        return await sender_calls.next_of(taken, account_id=account_id)
