"""The end of a run, whoever ends it: what was accepted before is done, no call stays open, its end is a fact."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from shared import events
from shared.database import Connection, facts, runs
from shared.database.queries import queries
from shared.domain import AgentRun, Json, RunStatus, StopKind
from shared.events import Event
from shared.runs import open_calls
from shared.storable import jsonb

_SQL = queries("runs")

_MESSAGES: dict[StopKind, str] = {
    "stop": "the run was stopped",
    "interrupt": "the run was interrupted by another one",
    "rollback": "the run was rolled back: its messages are hidden; what its tools did, and its events, stay",
}


def stop_error(kind: StopKind) -> Json:
    """What a stopped run's ``error`` says."""
    return {"code": kind, "message": _MESSAGES[kind]}


@dataclass(frozen=True)
class Ended:
    """The run as it has ended; ``rolled_back``: its messages are hidden."""

    run: AgentRun
    rolled_back: bool


async def end(
    connection: Connection,
    row: asyncpg.Record,
    *,
    status: RunStatus,
    error: Json | None,
    superseding: bool,
    before: Sequence[Event] = (),
) -> Ended:
    """End the run of ``row``, which the transaction has locked after its thread.

    A stop that was accepted until then is what the run ends by, whatever it was about to end as; later ones are told
    that they came too late. The facts have no numbers yet; the run's end is the last of them.

    Args:
        connection: of the transaction.
        row: the run's, as it was when it was locked.
        status: how it ends if nobody has asked for a stop.
        error: ``{"code", "message"}``.
        superseding: the caller does not hold the run, and takes it from whoever did.
        before: what subscribers are told before an end that nobody has asked for.
    """
    requested: StopKind | None = row["stop_requested"]
    if requested is not None and (requested == "rollback" or status != "stopped"):
        status, error, before = "stopped", stop_error(requested), ()
    rolled_back = error is not None and error["code"] == "rollback"
    stored = None if error is None else jsonb(error)
    ended = await connection.fetchrow(_SQL["end"], row["agent_run_id"], status, stored, int(superseding))
    assert ended is not None, "its row is locked"  # noqa: S101
    run = runs.agent_run(ended)
    await open_calls.answer(connection, row, keeps_questions=status == "needs_input", error=error)
    if rolled_back:
        await connection.execute(_SQL["hide_messages"], run.agent_run_id)
    told = [*before, events.terminal(run.agent_run_id, status, error, usage=run.usage)]
    await facts.add(connection, thread_id=run.thread_id, facts=told)
    return Ended(run, rolled_back)
