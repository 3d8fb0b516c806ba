"""Who lacks something of a thread, and is served by nobody: what the subscriptions say themselves.

Whoever is woken to serve may never come (Lambda is away), or fail however often it is invoked (DynamoDB is away). So
that somebody was woken proves nothing, nor would a note that somebody owes it. A cursor does: nobody but a sender
moves it, past what was posted or is not wanted. Whoever has to see to it that a thread's subscribers get what there
is looks again until they have.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from uuid import UUID

from shared.database import connection, threads
from shared.database.threads import StreamPosition
from shared.errors import SubscriptionsUnavailableError
from shared.stream import subscriptions, wake
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

# DynamoDB, silent, must not take the time of all that waits behind one look.
_LOOK_S = 2.0
# Readers that one look has woken a sender for: each of another account, and so each a call of its own.
_MOST_WOKEN = 20


async def all_served(*, thread_id: UUID, account_id: str, wakes: bool = True) -> bool:
    """Whether nobody who watches the account's thread lacks anything; else a sender is woken, if nobody posts to them.

    While a run of the thread is executed its executor serves, and its own watch looks after that. A connection that is
    over lacks nothing: so this comes to an end after two hours at the latest, whatever keeps senders from serving.

    Args:
        thread_id: the thread.
        account_id: whose it is.
        wakes: False: a sender was woken just now.

    Raises:
        SubscriptionsUnavailableError: nobody knows.
    """
    async with connection() as taken:
        position = await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)
        public = await threads.public(taken, thread_id=thread_id)
    if position is None or position.held or position.last_seq == 0:
        return True
    own = await _within(subscriptions.of_account(thread_id, account_id=account_id))
    lacking = _lacking(own, position)
    if public is not None:
        try:
            others = await _within(subscriptions.of_everybody(thread_id, account_id=account_id))
        except SubscriptionsUnavailableError:
            # Strangers may have written much: whose thread it is waits for none of that, and they are looked at again.
            if not lacking:
                raise
        else:
            lacking += _lacking(others, position)
    waiting = [one for one in lacking if not one.is_posted_to]
    if waiting and wakes:
        await _wake_for(waiting, thread_id=thread_id, account_id=account_id)
    return not lacking


async def _within(read: Awaitable[Sequence[Subscription]]) -> Sequence[Subscription]:
    try:
        async with asyncio.timeout(_LOOK_S):
            return await read
    except TimeoutError as error:
        raise SubscriptionsUnavailableError from error


def _lacking(watching: Sequence[Subscription], position: StreamPosition) -> list[Subscription]:
    """Those that a sender would serve, and that have not been told all that there was when PostgreSQL was asked."""
    return [
        one
        for one in watching
        if one.cursor < position.last_seq and not one.is_over and one.generation in {None, position.log.generation}
    ]


async def _wake_for(waiting: Sequence[Subscription], *, thread_id: UUID, account_id: str) -> None:
    logger.warning("subscribers lack events that nobody posts", extra={"subscribers": len(waiting)})
    readers = list({one.reader_id for one in waiting})
    if None in readers:
        # Who serves the thread's own sees to the others.
        await wake.sender(thread_id=thread_id, account_id=account_id)
        return
    for reader_id in readers[:_MOST_WOKEN]:
        assert reader_id is not None  # noqa: S101 - it was asked for
        await wake.sender(thread_id=thread_id, account_id=reader_id, is_others=True)
