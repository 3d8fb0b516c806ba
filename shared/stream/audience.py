"""Who gets a thread's events: its account's connections, and everybody else's while it is public."""

import time
from collections.abc import Sequence
from dataclasses import replace

import aiohttp

from shared.database import connection, threads
from shared.domain import ThreadLog
from shared.errors import SubscriptionsUnavailableError
from shared.stream import subscriptions
from shared.stream.connections import ThrottledError
from shared.stream.hang_up import hang_up
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

# How long an answer holds that a thread is public: whoever is served for longer has it asked again.
PUBLIC_S = 4.0


async def audience(log: ThreadLog, *, account_id: str) -> Sequence[Subscription]:
    """The subscriptions to serve of the account's thread.

    Connections that are over, and still there, are closed; so are those that watched the thread before it was deleted
    and made again, whose place in the log is none in this one. Those of other accounts were made while the thread was
    public: whether it still is counts each time, and from which event on.
    """
    found: list[Subscription] = []
    for subscription in await subscriptions.of_thread(log.thread_id, account_id=account_id):
        if subscription.is_over or subscription.generation not in {None, log.generation}:
            await dismiss(subscription)
        else:
            found.append(subscription)
    if all(subscription.reader_id is None for subscription in found):
        return found
    asked_at = time.monotonic()
    async with connection() as taken:
        public = await threads.public(taken, thread_id=log.thread_id)
    own = [subscription for subscription in found if subscription.reader_id is None]
    if public is None or public.account_id != account_id or public.generation != log.generation:
        return own
    others = [subscription for subscription in found if subscription.reader_id is not None]
    until = asked_at + PUBLIC_S
    return [*own, *(replace(one, public_after=public.after_seq, public_until=until) for one in others)]


async def dismiss(subscription: Subscription) -> None:
    """End the connection of a subscription that is over. That it cannot be ended now is no error: nothing is posted to
    it, and others of its thread must not wait for that.
    """
    try:
        await subscriptions.delete(subscription)
        await hang_up(subscription.connection_id)
    except (SubscriptionsUnavailableError, ThrottledError, aiohttp.ClientError, TimeoutError):
        logger.warning("a connection that is over could not be closed", exc_info=True)
