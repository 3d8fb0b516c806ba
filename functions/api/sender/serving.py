"""Serving a thread's subscribers: an account's own thread, or a public one of another account."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from shared.database import connection, sender_calls, threads
from shared.database.threads import StreamPosition
from shared.domain import ThreadLog
from shared.errors import EventLogUnavailableError, SunaError
from shared.events import Logged
from shared.stream import log, wake
from shared.stream.audience import READERS_S, dismissed, other_audience, own_audience
from shared.stream.sender import Sender
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

# Below the time that an answer holds (``audience.PUBLIC_S``).
_ASK_AGAIN_S = 2.0
_DISMISSED_S = 2.5

type Look = Callable[[], Awaitable[Sequence[Subscription]]]


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


@dataclass(frozen=True)
class _Served:
    """What came of it: ``late`` lack something, or may; ``failed`` could not be served, and why."""

    subscribers: int = 0
    late: Sequence[Sender] = ()
    failed: Mapping[Sender, BaseException] = field(default_factory=dict[Sender, BaseException])


async def serve_thread(
    thread_id: UUID, *, account_id: str, is_others: bool = False, limit_s: float, function: str
) -> None:
    """Serve the account's subscribers to the thread, and if it is the account's own, those of others for READERS_S.

    Who is slow among these, or cannot be served, is left to a sender of his own account: ``function`` is woken for it.
    ``is_others``: the thread is another account's, a public one.

    Raises what a subscriber of the account could not be served for, or not be found: Lambda invokes again.
    """
    owner_id = await _owner_of_public(thread_id) if is_others else account_id
    position = None if owner_id is None else await _position(thread_id, account_id=owner_id)
    if owner_id is None or position is None:
        # It may be another account's, whose events these subscribers must not see.
        logger.info("there is no such thread to be served to the account")
        return
    if position.held:
        logger.info("the run's executor serves the thread")
        return
    # Before it is asked whether the thread is public: what is said afterwards may be said in private.
    newest_seq = max(position.last_seq, await _last_logged(position.log))
    others = partial(_send_to_others, position.log, newest_seq=newest_seq, account_id=owner_id)
    errors: list[BaseException] = []
    if is_others:
        served, read = await others(reader_id=account_id, limit_s=limit_s), _Served()
    else:
        own = _send_to_own(position.log, newest_seq=newest_seq, account_id=owner_id, limit_s=limit_s)
        # The thread's own do not wait for what others have written; neither fails with the other.
        both = await asyncio.gather(own, others(limit_s=READERS_S), return_exceptions=True)
        errors += [one for one in both if isinstance(one, BaseException)]
        served, read = (one if isinstance(one, _Served) else _Served() for one in both)
    unserved = [sender.subscription.reader_id for sender in (*read.late, *read.failed)]
    slow = {reader_id for reader_id in unserved if reader_id is not None}
    wake_for = partial(wake.sender, thread_id=thread_id, is_others=True, function=function)
    await asyncio.gather(*(wake_for(account_id=reader_id) for reader_id in slow))
    await dismissed(timeout_s=_DISMISSED_S)
    errors += served.failed.values()
    subscribers, late = served.subscribers + read.subscribers, len(served.late) + len(read.late)
    failed = len(errors) + len(read.failed)
    logger.info("served", extra={"subscribers": subscribers, "late": late, "failed": failed})
    if served.late:
        # Slow, or far behind, or its lease was lost: the next one goes on from their cursors.
        async with connection() as taken:
            await sender_calls.add(taken, thread_id=thread_id, account_id=account_id, is_others=is_others)
    if errors:
        raise errors[0]


async def _owner_of_public(thread_id: UUID) -> str | None:
    async with connection() as taken:
        public = await threads.public(taken, thread_id=thread_id)
    return None if public is None else public.account_id


async def _position(thread_id: UUID, *, account_id: str) -> StreamPosition | None:
    async with connection() as taken:
        return await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)


async def _send_to_own(thread_log: ThreadLog, *, newest_seq: int, account_id: str, limit_s: float) -> _Served:
    replay = Replay(thread_log, newest_seq=newest_seq)
    return await _ended(_sending(await own_audience(thread_log, account_id=account_id), replay), limit_s=limit_s)


async def _send_to_others(
    thread_log: ThreadLog, *, newest_seq: int, account_id: str, limit_s: float, reader_id: str | None = None
) -> _Served:
    """Serve readers of other accounts, or of this one, for no longer than the thread is public.

    Who they are is read within the same time. Where it is too short for that, whoever looks for those who lack
    something has them served.
    """
    ends_at = time.monotonic() + limit_s
    look = partial(other_audience, thread_log, account_id=account_id, reader_id=reader_id)
    try:
        async with asyncio.timeout(limit_s):
            found = await look()
    except TimeoutError:
        logger.warning("who reads the thread could not be read in time")
        return _Served()
    reading = _sending(found, Replay(thread_log, newest_seq=newest_seq, extends=False))
    asking = asyncio.create_task(_keep_asking(reading, look))
    served = await _ended(reading, limit_s=max(0.0, ends_at - time.monotonic()))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    if not asking.cancelled() and (error := asking.exception()) is not None:
        raise error
    return served


def _sending(watching: Sequence[Subscription], source: Replay) -> dict[Sender, asyncio.Task[bool]]:
    senders = [Sender(subscription, source) for subscription in watching]
    return {sender: asyncio.create_task(sender.run()) for sender in senders}


async def _ended(sending: dict[Sender, asyncio.Task[bool]], *, limit_s: float) -> _Served:
    """Wait until all have ended; who has not after so long is ended."""
    if not sending:
        return _Served()
    _, late = await asyncio.wait(sending.values(), timeout=limit_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    ended = {sender: task for sender, task in sending.items() if task not in late and not task.cancelled()}
    failed = {sender: error for sender, task in ended.items() if (error := task.exception()) is not None}
    lacking = [sender for sender, task in ended.items() if task.exception() is None and not task.result()]
    return _Served(len(sending), [*(sender for sender, task in sending.items() if task in late), *lacking], failed)


async def _keep_asking(reading: dict[Sender, asyncio.Task[bool]], look: Look) -> None:
    """Have readers of other accounts served for no longer than the thread is public."""
    try:
        while not all(task.done() for task in reading.values()):
            await asyncio.sleep(_ASK_AGAIN_S)
            try:
                found = {one.connection_id: one for one in await look()}
            except SunaError:
                # They wait for an answer.
                logger.warning("who watches the thread could not be read", exc_info=True)
                continue
            for sender, task in reading.items():
                if (seen := found.get(sender.subscription.connection_id)) is not None:
                    sender.change(seen)
                else:
                    task.cancel()
    finally:
        # Nobody asks for them any more.
        for task in reading.values():
            task.cancel()
