"""Instances: the environments of the runner, which of them holds which runs, and stopping or draining one of them.

An instance has an id of its own, made when it first executes something, on each of its log lines and in each row that
it claims (``agent_runs.instance_id``). It holds a run for as long as its lease lives: that is the entry's time to live.
So there is no list of instances to keep true, and none that a crash can make wrong.
"""

from collections import defaultdict
from uuid import UUID

from shared.database import connection, runs, threads, transaction
from shared.database.queries import queries
from shared.domain import AgentRun, ThreadLog
from shared.runs.stopping import request_stop
from shared.stream import control

_SQL = queries("instances")

# Longer than Lambda leaves an environment idle; one that it keeps busy may take runs again after it.
DRAINED_S = 6 * 3600.0


async def held_runs() -> dict[UUID, list[AgentRun]]:
    """The runs that are being executed at the moment, by instance; an instance without a run is not there."""
    held: dict[UUID, list[AgentRun]] = defaultdict(list)
    async with connection() as taken:
        for row in await taken.fetch(_SQL["held"], None):
            held[row["instance_id"]].append(runs.agent_run(row))
    return dict(held)


async def stop_instance(instance_id: UUID) -> list[AgentRun]:
    """Stop every run that the instance holds now, whosever they are; returns them as they are then.

    Each is ended by its holder at once, or, where Redis is away, after its next renewal. The instance takes other runs.
    """
    return [
        await request_stop(agent_run_id=run.agent_run_id, account_id=run.account_id)
        for run, _ in await _held_by(instance_id)
    ]


async def drain_instance(instance_id: UUID, *, for_s: float = DRAINED_S) -> list[AgentRun]:
    """Have the instance give away what it holds, and take nothing for ``for_s``; returns what it holds now.

    Each run is handed over to the workflow, where another environment goes on with it; an answer that is cut off is
    begun anew there. A run that is being claimed meanwhile is given away at its first renewal. 0 ends a draining.
    """
    async with transaction() as taken:
        await taken.execute(_SQL["drain"], instance_id, for_s)
    held = await _held_by(instance_id)
    for run, log in held:
        await control.notify(log, "stop", agent_run_id=run.agent_run_id)
    return [run for run, _ in held]


async def is_drained(instance_id: UUID) -> bool:
    """Whether the instance is to take no runs."""
    async with connection() as taken:
        return await taken.fetchval(_SQL["is_drained"], instance_id) is not None


async def _held_by(instance_id: UUID) -> list[tuple[AgentRun, ThreadLog]]:
    async with connection() as taken:
        rows = await taken.fetch(_SQL["held"], instance_id)
    return [(runs.agent_run(row), threads.log_of(row)) for row in rows]
