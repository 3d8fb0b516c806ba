"""Deleting an account, in rounds: each does what it has the time for, and the mark says that there is more to do.

Runs are stopped first, and whoever holds one ends it. Then thread by thread: what Redis and DynamoDB hold of it, which
only its row leads to, its messages, its row with everything that refers to it. In the end the rest, and the account's
row with the mark. Every step may be done twice.
"""

import time
from uuid import UUID

from shared.aws.queue import AccountMessage
from shared.database import accounts, connection, runs, threads, transaction
from shared.domain import UNFINISHED
from shared.errors import ConflictError, NotFoundError
from shared.runs.patience import patience_s
from shared.runs.settle import Done, LookAgain
from shared.runs.stopping import request_stop
from shared.stream import control, log, subscriptions
from shared.telemetry import logger

# Of the rounds of one invocation, within the function's time.
ROUND_S = 20.0
_RUNS = 100
_THREADS = 100
_MESSAGES = 2000
# What a run's holder needs to find out that it is to stop.
_PAUSE_S = 2.0
# A request may still be in the transaction that marks the account.
_MARKED_WITHIN_S = 300.0


async def look_after_deletion(message: AccountMessage, *, age_s: float, round_s: float = ROUND_S) -> Done | LookAgain:
    """Do a round of deleting the account.

    Args:
        message: which account.
        age_s: how long ago the message was sent.
        round_s: how long the round may last; it does one thread at least.
    """
    account_id = message.account_id
    ends_at = time.monotonic() + round_s
    async with connection() as taken:
        if not await accounts.is_marked(taken, account_id=account_id):
            return Done() if age_s > _MARKED_WITHIN_S else LookAgain(patience_s())
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
    await subscriptions.forget(thread_id, account_id=account_id)
    await log.forget(thread_id)
    await control.forget(thread_id)
    while True:
        async with connection() as taken:
            if await accounts.delete_messages(taken, thread_id=thread_id, account_id=account_id, limit=_MESSAGES):
                break
    try:
        async with connection() as taken:
            await threads.delete(taken, thread_id=thread_id, account_id=account_id)
    except (NotFoundError, ConflictError) as error:
        # Somebody else has deleted it, or a run was recorded before the mark: the next round stops it.
        logger.info("a thread was passed over", extra={"reason": error.message})
