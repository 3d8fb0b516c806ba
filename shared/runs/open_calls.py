"""Calls without a result at the end of a run: nobody after it may execute them, and the model is told what became of
them.
"""

import json
from typing import cast

import asyncpg
from pydantic import ValidationError

from shared.agent_config import RunConfig, XmlAddingStrategy
from shared.database import Connection, tool_executions, tool_results
from shared.database.tool_executions import ToolExecution
from shared.database.tool_results import DECLINED, PASSED_OVER
from shared.domain import Json


async def answer(connection: Connection, row: asyncpg.Record, *, keeps_questions: bool, error: Json | None) -> None:
    """Give a result to every call that the run has made, has begun, or has a verdict on.

    Of a thread at most one run is being executed, so what is begun there and has no result was begun by that one. A
    call that awaits approval, and that nobody has spoken about, goes on waiting. Results of native calls stand directly
    behind their message, so those of XML calls come after them, and wait for the last of them.

    Args:
        connection: of the transaction that ends the run, and has locked its row and its thread's.
        row: the run's.
        keeps_questions: whether calls of the run itself may go on waiting for approval.
        error: what the run ends with.
    """
    config = json.loads(row["config"])
    reason = "the run has ended" if error is None else error["message"].rstrip(".")
    left = await tool_executions.unanswered(connection, thread_id=row["thread_id"], account_id=row["account_id"])
    mine = [call for call in left if _is_answered_by(call, row, config, keeps_questions=keeps_questions)]
    waiting = {call.assistant_message_id for call in left if call.form == "native" and call not in mine}
    for call in sorted(mine, key=lambda call: call.form == "xml"):
        success, output = _result(call, row, config, reason)
        if call.status != "finished":
            await tool_results.finish(
                connection,
                call,
                agent_run_id=row["agent_run_id"],
                thread_id=row["thread_id"],
                success=success,
                output=output,
            )
        if call.form == "xml" and call.assistant_message_id in waiting:
            continue
        await tool_results.put_among_messages(
            connection,
            call,
            thread_id=row["thread_id"],
            account_id=row["account_id"],
            success=success,
            text=output if isinstance(output, str) else json.dumps(output, ensure_ascii=False),
            xml_adding_strategy=_strategy(row["config"]),
        )


def _is_answered_by(call: ToolExecution, row: asyncpg.Record, config: Json, *, keeps_questions: bool) -> bool:
    if call.agent_run_id == row["agent_run_id"]:
        return not (keeps_questions and call.status == "awaiting")
    if call.status == "awaiting":
        # Whoever has spoken about one call of a thread has passed over those that were not mentioned.
        return bool(_verdicts(config))
    return row["status"] == "running"


def _result(call: ToolExecution, row: asyncpg.Record, config: Json, reason: str) -> tuple[bool, object]:
    if call.result is not None:
        return bool(call.result.get("success")), call.result.get("output", "")
    if call.status == "started":
        return False, tool_results.unknown_outcome(f"the run ended before the call did ({reason})")
    if call.status == "awaiting" and call.agent_run_id != row["agent_run_id"]:
        match _verdicts(config).get(call.call_id):
            case True:
                return False, f"This call was approved, but was not executed: {reason}."
            case False:
                return False, DECLINED
            case None:
                return False, PASSED_OVER
    return False, f"This call was not executed: {reason}."


def _verdicts(config: Json) -> dict[str, bool]:
    # Of a configuration that this version may not know otherwise.
    return cast("dict[str, bool]", config.get("resume") or {})


def _strategy(config: str) -> XmlAddingStrategy:
    try:
        return RunConfig.model_validate_json(config).agent.processor.xml_adding_strategy
    except ValidationError:
        # Recorded by another version; the form that every model reads.
        return "user_message"
