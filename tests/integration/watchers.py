"""Those who watch a thread, and what there is for them: events in the log, connections, whom they are served by."""

import time
from collections.abc import Sequence
from uuid import UUID, uuid4

from functions.api.sender.serving import Replay
from shared import events
from shared.domain import LogHold, ThreadLog
from shared.events import Logged
from shared.stream import log, subscriptions
from shared.stream.audience import other_audience, own_audience
from shared.stream.filters import Filter
from shared.stream.sender import Sender
from shared.stream.subscriptions import ConnectionRecord, Subscription
from tests.thread_logs import hold_of, log_named

ACCOUNT = "account"


async def appended(of: UUID | ThreadLog, first: int, last: int, *, after: int | None = None) -> list[Logged]:
    """Events with these numbers, in the log: the thread's, or that of no thread.

    ``after``: what the log ends with, if that is not the number before the first.
    """
    where = of if isinstance(of, ThreadLog) else log_named(of)
    told = [
        events.number(events.custom(uuid4(), "numbered", {"seq": seq}), generation=where.generation, seq=seq)
        for seq in range(first, last + 1)
    ]
    hold = where if isinstance(where, LogHold) else hold_of(where)
    answer = await log.append(hold, told, expected_seq=first - 1 if after is None else after, proved=True)
    assert answer.answer == "ok"
    return told


async def watching(
    thread_id: UUID,
    *,
    since: int = 0,
    account_id: str = ACCOUNT,
    ends_at: float = 2**32,
    generation: UUID | None = None,
) -> str:
    """A connection that watches the thread; its id."""
    record = ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id=account_id,
        thread_id=thread_id,
        opened_at=time.time(),
        credential_expires_at=ends_at,
    )
    wanted = Filter(subscription_id=str(uuid4()), channels=frozenset({"custom", "values"}))
    await subscriptions.put_connection(record)
    await subscriptions.add(record, wanted, since=since, generation=generation)
    return record.connection_id


async def replay(thread_id: UUID) -> Sender:
    """A sender of what is there, for the thread's one subscription."""
    [found] = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    return Sender(found, Replay(log_named(thread_id), newest_seq=0))


async def cursor_of(thread_id: UUID, connection_id: str) -> int:
    """What the next sender would begin after."""
    watching = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    [found] = [one for one in watching if one.connection_id == connection_id]
    return found.cursor


async def audience(log: ThreadLog, *, account_id: str) -> Sequence[Subscription]:
    """The subscriptions to serve of the account's thread, its own and others'."""
    return [*await own_audience(log, account_id=account_id), *await other_audience(log, account_id=account_id)]
