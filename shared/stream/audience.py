"""Who gets a thread's events: its account's connections, and everybody else's while it is public.

Others may be many, and have written a lot: whose thread it is waits for none of what concerns them.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import aiohttp

from shared.database import connection, threads
from shared.domain import ThreadLog
from shared.errors import NotFoundError, SubscriptionsUnavailableError
from shared.stream import connections, subscriptions
from shared.stream.connections import GoneError, ThrottledError
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

# How long an answer holds that a thread is public: whoever is served for longer has it asked again.
PUBLIC_S = 4.0

# What readers of other accounts may take of the time of whoever serves the thread's own. Who is slower is served by a
# sender that has one of the places of the reader's account, so that nobody's own stream waits for strangers.
READERS_S = 2.0

# Connections that are closed at once. Of the rest whoever looks next closes some.
_MOST_DISMISSED = 20

_dismissing: dict[str, asyncio.Task[None]] = {}


async def own_audience(log: ThreadLog, *, account_id: str) -> Sequence[Subscription]:
    """The subscriptions to serve of the account to its own thread.

    Connections that are over, and still there, are closed; so are those that watched the thread before it was deleted
    and made again, whose place in the log is none in this one.
    """
    found = await subscriptions.of_account(log.thread_id, account_id=account_id)
    return await _to_serve(found, log, account_id)


async def other_audience(log: ThreadLog, *, account_id: str, reader_id: str | None = None) -> Sequence[Subscription]:
    """Those of other accounts to the account's thread, or of one of them, made while it was public: nothing if it is
    not.

    Whether it still is counts each time, and from which event on.
    """
    asked_at = time.monotonic()
    public = await _public(log)
    if public is None or public.account_id != account_id or public.generation != log.generation:
        return []
    found = await subscriptions.of_everybody(log.thread_id, account_id=account_id, reader_id=reader_id)
    until = asked_at + PUBLIC_S
    serve = await _to_serve(found, log, account_id)
    return [replace(one, public_after=public.after_seq, public_until=until) for one in serve]


async def _to_serve(found: Sequence[Subscription], log: ThreadLog, account_id: str) -> Sequence[Subscription]:
    """Those of this log. Of others nothing is touched unless this is the thread's present one: a run's executor
    outlives the thread for some seconds, and who watches the next thread is not for it to serve, or to send away.
    """
    if any(one.generation != log.generation for one in found) and not await _is_present(log, account_id):
        # Asked after they were read: whoever was among them did not come later than that.
        found = [one for one in found if one.generation == log.generation]
    over = [one for one in found if one.is_over or one.generation not in {None, log.generation}]
    _dismiss_beside(over)
    return [one for one in found if one not in over]


async def _is_present(log: ThreadLog, account_id: str) -> bool:
    """Whether the log is that of the account's thread as it is now."""
    try:
        async with connection() as taken:
            present = await threads.log(taken, thread_id=log.thread_id, account_id=account_id)
    except NotFoundError:
        return False
    return present.generation == log.generation


async def _public(log: ThreadLog) -> threads.Public | None:
    async with connection() as taken:
        return await threads.public(taken, thread_id=log.thread_id)


def _dismiss_beside(over: Sequence[Subscription]) -> None:
    """End these connections, a few at once, while those that are served are."""
    for subscription in over:
        connection_id = subscription.connection_id
        if connection_id in _dismissing:
            continue
        if len(_dismissing) >= _MOST_DISMISSED:
            return
        task = _dismissing[connection_id] = asyncio.create_task(dismiss(subscription))
        task.add_done_callback(lambda _, connection_id=connection_id: _dismissing.pop(connection_id, None))


async def dismissed(*, timeout_s: float) -> None:
    """Wait for the connections that are being closed, but not for longer than this."""
    if _dismissing:
        await asyncio.wait(list(_dismissing.values()), timeout=timeout_s)


async def dismiss(subscription: Subscription) -> None:
    """End the connection of a subscription that is over. That it cannot be ended now is no error: nothing is posted to
    it, and others of its thread must not wait for that.

    What is not closed is not forgotten either, so that whoever looks next meets it again: a connection that stays open
    and watches nothing would be silent until its two hours are over.
    """
    try:
        with suppress(GoneError):
            await connections.close(subscription.connection_id)
        await subscriptions.delete_connection(subscription.connection_id)
        await subscriptions.delete(subscription)
    except (SubscriptionsUnavailableError, ThrottledError, aiohttp.ClientError, TimeoutError):
        logger.warning("a connection that is over could not be closed", exc_info=True)
