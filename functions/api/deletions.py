"""Deleting threads, runs and accounts; what takes its time is the watch function's (``functions.api.watch``)."""

from uuid import UUID

from shared import events
from shared.aws import queue
from shared.aws.queue import AccountMessage, EventsMessage, LogMessage
from shared.database import accounts, facts, runs, threads, transaction
from shared.errors import QueueUnavailableError
from shared.runs.patience import patience_s
from shared.telemetry import logger

# The watch finds the deletion committed, but for a commit that takes longer: then it comes again.
_COMMITTED_S = 1.0


async def delete_thread(*, thread_id: UUID, account_id: str) -> None:
    """Delete the account's thread with all that is its, and have somebody remove its event log, whatever dies next.

    Raises:
        NotFoundError: there is none of that id in the account.
        ConflictError: a run of it is queued or running.
        OutcomeUnknownError: it may be deleted; to ask again is harmless.
        DatabaseUnavailableError, QueueUnavailableError: nothing is deleted.
    """
    async with transaction() as connection:
        generation = await threads.delete(connection, thread_id=thread_id, account_id=account_id)
        await queue.send("watch", LogMessage(generation=generation), delay_s=_COMMITTED_S)


async def delete_run(*, agent_run_id: UUID, thread_id: UUID, account_id: str) -> None:
    """Delete the account's run with its messages, and have somebody remove its events, whatever dies next.

    Whoever watches the thread is told: a gap, and where the thread's state is to be had.

    Raises:
        NotFoundError: there is none of that id in the account and thread.
        ConflictError: it has not ended.
        OutcomeUnknownError: it may be deleted; to ask again is harmless.
        DatabaseUnavailableError, QueueUnavailableError: nothing is deleted.
    """
    async with transaction() as connection:
        gone = await runs.delete(connection, agent_run_id=agent_run_id, account_id=account_id, thread_id=thread_id)
        if gone is None:
            return
        # By reference: when it is told, more may have been said.
        told = [events.gap(first=gone.first, last=gone.last), events.values(thread_id, None)]
        await facts.add(connection, thread_id=thread_id, facts=told)
        message = EventsMessage(agent_run_id=agent_run_id, account_id=account_id)
        await queue.send("watch", message, delay_s=_COMMITTED_S)


async def request_deletion(account_id: str) -> None:
    """Mark the account, and have somebody delete it, whatever dies next. To ask again changes nothing.

    Raises:
        OutcomeUnknownError: it may be going to be deleted.
        DatabaseUnavailableError, QueueUnavailableError: nothing is going to be deleted.
    """
    message = AccountMessage(account_id=account_id)
    async with transaction() as connection:
        await accounts.mark(connection, account_id=account_id)
        await queue.send("watch", message, delay_s=patience_s())
    try:
        await queue.send("watch", message)
    except QueueUnavailableError:
        logger.warning("the account's deletion waits for its watch", exc_info=True)
