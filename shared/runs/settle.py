"""Settling: what is still to be done after a run's terminal commit, and the repair of runs whose executor died.

The holder settles its own run; the watch settles what nobody did.
"""

from dataclasses import dataclass
from uuid import UUID

from shared.aws import queue
from shared.aws.queue import RunMessage
from shared.database import connection
from shared.database.queries import queries
from shared.domain import TERMINAL

_SQL = queries("runs")

# Beyond the end of the lease that was seen, so that the claim finds it ended.
_MARGIN_S = 1.0
_REDISPATCH_S = 15.0
_LONGEST_WAIT_S = 300.0


async def settle(*, agent_run_id: UUID, thread_id: UUID) -> None:
    """After the terminal event: dispatch the thread's next run, and note that nothing is left to be done."""
    async with connection() as taken:
        row = await taken.fetchrow(_SQL["next_queued"], thread_id)
        if row is not None:
            await taken.execute(_SQL["dispatched"], row["agent_run_id"])
    if row is not None:
        following = RunMessage(
            agent_run_id=row["agent_run_id"], thread_id=row["thread_id"], account_id=row["account_id"]
        )
        await queue.send("runs", following)
    async with connection() as taken:
        await taken.execute(_SQL["settled"], agent_run_id)


@dataclass(frozen=True)
class Done:
    """The watch is over."""


@dataclass(frozen=True)
class LookAgain:
    """The watch comes back after so many seconds."""

    after_s: float


async def look_after(message: RunMessage, *, age_s: float) -> Done | LookAgain:
    """Do for the run of a watch message what its executor should have done by now.

    Args:
        message: whose run.
        age_s: how long ago the watch was sent: a run that is not there may still be in its recording transaction.
    """
    async with connection() as taken:
        row = await taken.fetchrow(_SQL["watch"], message.agent_run_id, message.account_id)
    if row is None:
        return Done() if age_s > _LONGEST_WAIT_S else LookAgain(min(_REDISPATCH_S, _LONGEST_WAIT_S))
    if row["status"] in TERMINAL:
        if row["settled_at"] is None:
            await settle(agent_run_id=message.agent_run_id, thread_id=message.thread_id)
        return Done()
    async with connection() as taken:
        left_s = row["lease_left_s"] if row["status"] == "running" else row["due_in_s"]
        if left_s is not None and left_s > 0:
            return LookAgain(left_s + _MARGIN_S)
        if row["executor"] == "workflow":
            if row["wake_left_s"] is not None and row["wake_left_s"] > 0:
                return LookAgain(row["wake_left_s"] + _MARGIN_S)
            await taken.execute(_SQL["take_back"], message.agent_run_id)
        since_s = row["since_dispatch_s"] or 0.0
        if row["status"] == "queued" and since_s < _REDISPATCH_S:
            return LookAgain(_REDISPATCH_S - since_s + _MARGIN_S)
        await taken.execute(_SQL["dispatched"], message.agent_run_id)
    await queue.send("retry" if row["crashes"] > 0 or row["status"] == "running" else "runs", message)
    return LookAgain(min(max(since_s * 2, _REDISPATCH_S), _LONGEST_WAIT_S))
