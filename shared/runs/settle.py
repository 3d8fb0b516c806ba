"""Settling: what is still to be done after a run's terminal commit, and the repair of runs whose executor died.

The holder settles its own run; the watch settles what nobody did. There is no other repair.
"""

from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from shared.aws import queue
from shared.aws.queue import RunMessage
from shared.database import connection, facts, threads, webhooks
from shared.database.queries import queries
from shared.domain import TERMINAL
from shared.errors import LeaseLostError, QueueUnavailableError, SubscriptionsUnavailableError
from shared.runs.patience import patience_s
from shared.stream import control, log_hold, wake
from shared.stream.session import draining
from shared.stream.unserved import all_served
from shared.telemetry import logger

_SQL = queries("runs")

# Beyond the end of the lease that was seen, so that the claim finds it ended.
_MARGIN_S = 1.0
# What has become of a run is seen within a minute, however long it has lasted: whoever waits for it waits so long at
# most. A run that waits in a long queue gets a message a minute more, which is a claim that is refused.
_LONGEST_WAIT_S = 60.0
# For how long a run that is not there is looked for.
_LONGEST_MISSING_S = 300.0
# The HTTP function's time limit: what records a run ends with it.
_LONGEST_RECORDING_S = 30.0


async def settle(*, agent_run_id: UUID, thread_id: UUID, account_id: str) -> bool:
    """After the terminal commit: dispatch the thread's next run, see to it that the end is in the log.

    Returns:
        Whether nothing is left to be done; else Redis is away, or the log's holder has still to append the end.
    """
    await dispatch_next(thread_id)
    return await _tell(agent_run_id=agent_run_id, thread_id=thread_id, account_id=account_id)


async def _tell(*, agent_run_id: UUID, thread_id: UUID, account_id: str) -> bool:
    """The rest of it, which needs Redis."""
    if await facts.has_unlogged(thread_id=thread_id):
        await drain(thread_id=thread_id, account_id=account_id)
    async with connection() as taken:
        settled = await taken.fetchval(_SQL["settled"], agent_run_id)
        row = await taken.fetchrow(_SQL["watch"], agent_run_id, account_id)
        hook_due_in_s = await webhooks.due_in_s(taken, agent_run_id=agent_run_id, account_id=account_id)
    if settled is not None and hook_due_in_s is not None:
        await _tell_watch(RunMessage(agent_run_id=agent_run_id, thread_id=thread_id, account_id=account_id))
    return settled is not None or row is None or row["settled_at"] is not None


async def _tell_watch(message: RunMessage) -> None:
    """Have a watch come at once for what only the watch function does; the run's own may come half a minute later."""
    try:
        await queue.send("watch", message)
    except QueueUnavailableError:
        logger.warning("the webhook waits for the run's own watch", exc_info=True)


async def dispatch_next(thread_id: UUID) -> None:
    """Dispatch the run of the thread that may be executed now, if there is one."""
    async with connection() as taken:
        row = await taken.fetchrow(_SQL["next_queued"], thread_id)
        if row is None:
            return
        await taken.execute(_SQL["dispatched"], row["agent_run_id"])
    following = RunMessage(agent_run_id=row["agent_run_id"], thread_id=row["thread_id"], account_id=row["account_id"])
    await queue.send("runs", following)


async def drain(*, thread_id: UUID, account_id: str) -> None:
    """Have the thread's facts appended: by whoever holds the log, or here."""
    hold = await log_hold.adopt(thread_id=thread_id, account_id=account_id)
    if hold is None:
        await _hint(thread_id, account_id)
        return
    try:
        async with draining(hold, on_lost=lambda: logger.info("somebody else writes the log by now")) as publisher:
            async with publisher.closing() as _:
                last_seq = await publisher.end([])
            await log_hold.close(hold, last_seq=last_seq)
    except LeaseLostError:
        logger.info("the thread's next run appends the facts")


async def _hint(thread_id: UUID, account_id: str) -> None:
    """Tell the log's holder that facts wait; nobody, if the thread is gone, and they with it."""
    async with connection() as taken:
        position = await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)
    if position is not None:
        await control.notify(position.log, "facts")


@dataclass(frozen=True)
class Done:
    """The watch is over."""


@dataclass(frozen=True)
class LookAgain:
    """The watch comes back after so many seconds."""

    after_s: float


@dataclass(frozen=True)
class Untold:
    """Somebody may not have heard of the run's end yet: what can be done without Redis is done."""

    message: RunMessage
    is_settled: bool
    since_end_s: float | None


async def tell(untold: Untold) -> Done | LookAgain:
    """Settle a run that has ended, if nobody has; then come back until those who were connected have its end."""
    message, since_s = untold.message, untold.since_end_s
    thread_id, account_id = message.thread_id, message.account_id
    if untold.is_settled:
        return await look_after_subscribers(thread_id=thread_id, account_id=account_id, since_s=since_s)
    try:
        settled = await _tell(agent_run_id=message.agent_run_id, thread_id=thread_id, account_id=account_id)
    finally:
        # Whoever ended it may have died before its subscribers had its end. Behind the append, which a sender that
        # looks before it does not wait for; and if that fails, it is told from the database.
        await wake.sender(thread_id=thread_id, account_id=account_id)
    if not settled:
        return _soon(since_s)
    return await look_after_subscribers(thread_id=thread_id, account_id=account_id, since_s=since_s, woken=True)


async def look_at(message: RunMessage, *, age_s: float) -> Done | LookAgain | Untold:
    """Do of it what needs no Redis: dispatch the run, if its executor has died, or the one behind it, if it has ended.

    Args:
        message: whose run.
        age_s: how long ago the watch was sent: a run that is not there may still be in its recording transaction.
    """
    async with connection() as taken:
        row = await taken.fetchrow(_SQL["watch"], message.agent_run_id, message.account_id)
    if row is None:
        return _look_for_missing(age_s)
    if row["status"] in TERMINAL:
        if row["settled_at"] is None:
            await dispatch_next(row["thread_id"])
        return Untold(replace(message, thread_id=row["thread_id"]), row["settled_at"] is not None, row["since_end_s"])
    if row["status"] == "queued":
        return await _look_after_queued(message, row["due_in_s"], row["blocked"], row["since_dispatch_s"] or 0.0)
    return await _look_after_running(message, row)


async def look_after_subscribers(
    *, thread_id: UUID, account_id: str, since_s: float | None, woken: bool = False
) -> Done | LookAgain:
    """See to it that whoever watches the thread gets what there is, by whoever is woken to post it; the watch is over
    when they have.

    Args:
        thread_id: the thread.
        account_id: whose it is.
        since_s: for how long they may be waiting.
        woken: a sender was woken just now.
    """
    try:
        served = await all_served(thread_id=thread_id, account_id=account_id, wakes=not woken)
    except SubscriptionsUnavailableError:
        logger.warning("it cannot be looked up who lacks events; the watch comes back", exc_info=True)
        served = False
    return Done() if served else _soon(since_s)


def _soon(since_s: float | None) -> LookAgain:
    """Somebody may be waiting for an end, however long ago that was: an outage lasts, and is over."""
    return LookAgain(_backoff_s(since_s))


def _look_for_missing(age_s: float) -> Done | LookAgain:
    if age_s > _LONGEST_MISSING_S:
        return Done()
    # Beyond that nobody can be recording it: it was deleted with its thread, as many are, and is looked for in vain.
    return LookAgain(patience_s() if age_s < _LONGEST_RECORDING_S else 2 * age_s)


async def _look_after_queued(message: RunMessage, due_in_s: float, blocked: bool, since_dispatch_s: float) -> LookAgain:
    if due_in_s > 0:
        return LookAgain(due_in_s + _MARGIN_S)
    if blocked:
        # Whoever ends the run before it dispatches it.
        return LookAgain(_backoff_s(since_dispatch_s))
    if since_dispatch_s < patience_s():
        return LookAgain(patience_s() - since_dispatch_s + _MARGIN_S)
    async with connection() as taken:
        await taken.execute(_SQL["dispatched"], message.agent_run_id)
    await queue.send("runs", message)
    return LookAgain(_backoff_s(since_dispatch_s))


async def _look_after_running(message: RunMessage, row: asyncpg.Record) -> LookAgain:
    if row["lease_left_s"] is not None and row["lease_left_s"] > 0:
        return LookAgain(row["lease_left_s"] + _MARGIN_S)
    # Only what an executor has died of goes where it can hurt nobody but itself: that is narrow.
    crashed = row["lease_left_s"] is not None
    async with connection() as taken:
        if row["executor"] == "workflow":
            if row["wake_left_s"] is not None and row["wake_left_s"] > 0:
                return LookAgain(row["wake_left_s"] + _MARGIN_S)
            await taken.execute(_SQL["take_back"], message.agent_run_id)
        await taken.execute(_SQL["dispatched"], message.agent_run_id)
    logger.warning(
        "a run has no executor: it is dispatched again", extra={"attempt": row["attempt"], "crashed": crashed}
    )
    await queue.send("retry" if crashed else "runs", message)
    return LookAgain(_backoff_s(-row["lease_left_s"] if crashed else row["since_release_s"]))


def _backoff_s(since_s: float | None) -> float:
    """Twice as long as it has lasted already, within bounds."""
    return min(max((since_s or 0.0) * 2, patience_s()), _LONGEST_WAIT_S)
