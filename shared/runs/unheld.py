"""Ending a run that nobody holds: on a stop, by the workflow's Catch, by settle. There is one way, and this is it."""

import json
from uuid import UUID

from pydantic import ValidationError

from shared import events
from shared.agent_config import RunConfig, XmlAddingStrategy
from shared.database import Connection, facts, runs, threads, tool_executions, tool_results
from shared.database.queries import queries
from shared.database.tool_results import UNKNOWN_OUTCOME
from shared.domain import AgentRun, Executor, Json, RunStatus
from shared.storable import jsonb
from shared.stream import log_hold

_SQL = queries("runs")


async def end_unheld(
    connection: Connection,
    *,
    agent_run_id: UUID,
    status: RunStatus,
    error: Json,
    executor: Executor | None = None,
    handover_no: int | None = None,
) -> AgentRun | None:
    """End the run, in a transaction that holds its thread's row lock; ``None`` if somebody holds it, or it has ended.

    Its unfinished calls get a result, its messages are hidden if it is rolled back, its end is a fact. Where nobody
    holds the thread's log its epoch rises, so that an executor that wakes up later is refused there too.

    Args:
        connection: of the transaction.
        agent_run_id: the run.
        status: how it ends.
        error: ``{"code", "message"}``.
        executor: only if it is this kind's to execute.
        handover_no: only if this is its last hand-over.
    """
    row = await connection.fetchrow(_SQL["end_unheld"], agent_run_id, status, jsonb(error), executor, handover_no)
    if row is None:
        return None
    run = runs.agent_run(row)
    await _answer_calls(connection, run, strategy=_strategy(row["config"]), reason=error["message"])
    if error["code"] == "rollback":
        await connection.execute(_SQL["hide_messages"], agent_run_id)
    end = events.terminal(agent_run_id, status, error, usage=run.usage)
    await facts.add(connection, thread_id=run.thread_id, facts=[end])
    hold = await log_hold.adopt_locked(connection, thread_id=run.thread_id, account_id=run.account_id)
    if hold is not None:
        # Nothing was appended under it: the facts get their numbers where the dead holder may have ended.
        last_seq = hold.last_seq + await facts.number(connection, thread_id=run.thread_id, last_seq=hold.last_seq)
        hidden = error["code"] == "rollback"
        await threads.bound_end(connection, hold, agent_run_id=agent_run_id, before_end=last_seq - 1, hidden=hidden)
        await log_hold.close_with(connection, hold, last_seq=last_seq)
    return run


async def _answer_calls(connection: Connection, run: AgentRun, *, strategy: XmlAddingStrategy, reason: str) -> None:
    """Give the run's calls that have none a result: its own if it is known, else why there is none."""
    unanswered = await tool_executions.unanswered(connection, thread_id=run.thread_id, account_id=run.account_id)
    for execution in unanswered:
        if execution.agent_run_id != run.agent_run_id:
            continue
        if execution.result is not None:
            success, output = bool(execution.result.get("success")), execution.result.get("output", "")
        else:
            success = False
            output = UNKNOWN_OUTCOME if execution.status == "started" else f"This call was not executed: {reason}"
            await tool_results.finish(
                connection,
                execution,
                agent_run_id=run.agent_run_id,
                thread_id=run.thread_id,
                success=success,
                output=output,
            )
        await tool_results.put_among_messages(
            connection,
            execution,
            thread_id=run.thread_id,
            account_id=run.account_id,
            success=success,
            text=output if isinstance(output, str) else json.dumps(output, ensure_ascii=False),
            xml_adding_strategy=strategy,
        )


def _strategy(config: str) -> XmlAddingStrategy:
    try:
        return RunConfig.model_validate_json(config).agent.processor.xml_adding_strategy
    except ValidationError:
        # Recorded by another version; the form that every model reads.
        return "user_message"
