"""Who gets a thread's events: its account's connections, and everybody else's while it is public."""

from collections.abc import Sequence
from uuid import UUID

from shared.database import connection, threads
from shared.stream import subscriptions
from shared.stream.subscriptions import Subscription


async def audience(thread_id: UUID, *, account_id: str) -> Sequence[Subscription]:
    """The subscriptions to serve of the account's thread.

    Those of other accounts were made while the thread was public: whether it still is counts each time.
    """
    found = await subscriptions.of_thread(thread_id, account_id=account_id)
    if all(subscription.reader_id is None for subscription in found):
        return found
    async with connection() as taken:
        owner = await threads.owner(taken, thread_id=thread_id, account_id=None)
    return [subscription for subscription in found if subscription.reader_id is None or owner == account_id]
