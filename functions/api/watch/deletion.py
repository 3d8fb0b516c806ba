"""What is left of deletions: a thread's event log and subscriptions, and an account with everything that is its.

An account goes in rounds: each does what it has the time for, and the mark says that there is more to do. Runs are
stopped first, and whoever holds one ends it. Then thread by thread: its messages, its row with everything that refers
to it, what Redis and DynamoDB hold of it, which an entry leads to that was made with the row's deletion. In the end the
rest, and the account's row with the mark. Every step may be done twice.
"""

import time
from uuid import UUID

from shared.aws.queue import AccountMessage, LogMessage
from shared.database import accounts, connection, deleted_logs, runs, threads, transaction
from shared.database.deleted_logs import DeletedLog
from shared.domain import UNFINISHED
from shared.errors import ConflictError, NotFoundError
from shared.runs.patience import patience_s
from shared.runs.settle import Done, LookAgain
from shared.runs.stopping import request_stop
from shared.stream import control, log, subscriptions, wake
from shared.stream.closing import silence
from shared.telemetry import logger

# Of the rounds of one invocation, within the function's time.
ROUND_S = 20.0
# What one step may take beyond it, before somebody else takes the round for dead.
_SPARE_S = 30.0
_RUNS = 100
_THREADS = 100
_MESSAGES = 2000
# What a run's holder needs to find out that it is to stop.
_PAUSE_S = 2.0
# A request may still be in the transaction that marks the account.
_MARKED_WITHIN_S = 300.0
# The HTTP function's time limit, and to spare.
_DELETED_WITHIN_S = 60.0
_SWEPT = 10


async def look_after_deletion(message: AccountMessage, *, age_s: float, round_s: float = ROUND_S) -> Done | LookAgain:
    """Do a round of deleting the account.

    Args:
        message: which account.
        age_s: how long ago the message was sent.
        round_s: how long the round may last; it does one thread at least.
    """
    account_id = message.account_id
    async with connection() as taken:
        if not await accounts.is_marked(taken, account_id=account_id):
            return Done() if age_s > _MARKED_WITHIN_S else LookAgain(patience_s())
        if not await accounts.begin_round(taken, account_id=account_id, for_s=round_s + _SPARE_S):
            return LookAgain(patience_s())
    try:
        return await _round(account_id, ends_at=time.monotonic() + round_s)
    finally:
        async with connection() as taken:
            await accounts.end_round(taken, account_id=account_id)


async def _round(account_id: str, *, ends_at: float) -> Done | LookAgain:
    async with connection() as taken:
        unfinished = await runs.unfinished(
            taken,
            account_id=account_id,
            thread_id=None,
            agent_run_ids=None,
            statuses=sorted(UNFINISHED),
            limit=_RUNS,
        )
    for run in unfinished:
        await _stop(run.agent_run_id, account_id)
    while True:
        async with connection() as taken:
            idle = await accounts.idle_threads(taken, account_id=account_id, limit=_THREADS)
        if not idle:
            break
        for thread_id in idle:
            await _delete_thread(thread_id, account_id)
            if time.monotonic() >= ends_at:
                return LookAgain(0.0)
    async with connection() as taken:
        left = await deleted_logs.of_account(taken, account_id=account_id, limit=_THREADS)
    for gone in left:
        await _forget(gone)
    if len(left) == _THREADS:
        return LookAgain(0.0)
    async with transaction() as taken:
        deleted = await accounts.delete(taken, account_id=account_id)
    if not deleted:
        return LookAgain(_PAUSE_S)
    logger.info("an account was deleted")
    return Done()


async def _stop(agent_run_id: UUID, account_id: str) -> None:
    try:
        await request_stop(agent_run_id=agent_run_id, account_id=account_id)
    except NotFoundError:
        logger.info("somebody else has deleted the run")


async def _delete_thread(thread_id: UUID, account_id: str) -> None:
    while True:
        async with connection() as taken:
            if await accounts.delete_messages(taken, thread_id=thread_id, account_id=account_id, limit=_MESSAGES):
                break
    try:
        async with transaction() as taken:
            generation = await threads.delete(taken, thread_id=thread_id, account_id=account_id)
            gone = await deleted_logs.get(taken, generation=generation)
    except (NotFoundError, ConflictError) as error:
        # Somebody else has deleted it, or a run was recorded before the mark: the next round stops it.
        logger.info("a thread was passed over", extra={"reason": error.message})
        return
    if gone is not None:
        await _forget(gone)


async def look_after_deleted_log(message: LogMessage, *, age_s: float) -> Done | LookAgain:
    """Remove what Redis and DynamoDB hold of a thread that is deleted.

    ``age_s``: how long ago the message was sent: the deletion may not be committed yet.
    """
    async with connection() as taken:
        gone = await deleted_logs.get(taken, generation=message.generation)
    if gone is None:
        return Done() if age_s > _DELETED_WITHIN_S else LookAgain(patience_s())
    await _forget(gone)
    return Done()


async def forget_deleted_logs() -> int:
    """Of deletions by whoever sent no message: an older version, somebody at the database; or whose message is lost.

    Returns of how many threads.
    """
    async with connection() as taken:
        left = await deleted_logs.old(taken, limit=_SWEPT)
    for gone in left:
        await _forget(gone)
    return len(left)


async def _forget(gone: DeletedLog) -> None:
    """Whoever watched the thread is cut off: a place in its log means nothing in the next one under the same id."""
    deleted_at = gone.deleted_at.timestamp()
    watching = await subscriptions.from_before(gone.thread_id, account_id=gone.account_id, opened_before=deleted_at)
    # Before what they watch is forgotten: nobody would find who has still to be hung up.
    await wake.close_surely([one.connection_id for one in watching])
    for one in watching:
        await silence(one.connection_id)
    await subscriptions.forget(watching)
    await log.forget(gone.generation)
    await control.forget(gone.generation)
    async with connection() as taken:
        await deleted_logs.remove(taken, generation=gone.generation)
