"""What is left of a deleted run: its events in the thread's log."""

from shared.aws.queue import EventsMessage
from shared.database import connection, deleted_events, facts
from shared.runs.patience import patience_s
from shared.runs.settle import Done, LookAgain, drain
from shared.stream import log, wake
from shared.telemetry import logger

# The HTTP function's time limit, and to spare.
_DELETED_WITHIN_S = 60.0
_SWEPT = 10


async def look_after_deleted_events(message: EventsMessage, *, age_s: float) -> Done | LookAgain:
    """Remove a deleted run's events. Every step may be done twice.

    That they are gone is in the log before: by a holder of the log that came after the run's, which can append nothing
    any more.

    Args:
        message: whose events.
        age_s: how long ago the message was sent: the deletion may not be committed yet.
    """
    async with connection() as taken:
        gone = await deleted_events.get(taken, agent_run_id=message.agent_run_id, account_id=message.account_id)
    if gone is None:
        return Done() if age_s > _DELETED_WITHIN_S else LookAgain(patience_s())
    thread_id = gone.log.thread_id
    if await facts.has_unlogged(thread_id=thread_id):
        await drain(thread_id=thread_id, account_id=message.account_id)
        if await facts.has_unlogged(thread_id=thread_id):
            return LookAgain(patience_s())
    await log.remove_run(gone.log, gone.agent_run_id, first_seq=gone.first_seq, last_seq=gone.last_seq)
    # Before the entry goes, and with it whoever looks after this.
    await wake.watch(thread_id=thread_id, account_id=message.account_id)
    async with connection() as taken:
        await deleted_events.remove(taken, agent_run_id=gone.agent_run_id)
    await wake.sender(thread_id=thread_id, account_id=message.account_id)
    logger.info("a deleted run's events were removed")
    return Done()


async def remove_deleted_events() -> int:
    """Of runs whose message was lost. Returns of how many: what has to wait is left to the next sweep."""
    async with connection() as taken:
        left = await deleted_events.old(taken, limit=_SWEPT)
    messages = [EventsMessage(agent_run_id=one.agent_run_id, account_id=one.account_id) for one in left]
    outcomes = [await look_after_deleted_events(message, age_s=_DELETED_WITHIN_S) for message in messages]
    return sum(isinstance(outcome, Done) for outcome in outcomes)
