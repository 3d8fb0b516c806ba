"""Results of tool calls in PostgreSQL: in the call's row, among the messages, and as a fact for subscribers."""

from uuid import UUID

from shared import events
from shared.agent_config import XmlAddingStrategy
from shared.database import facts, messages, tool_executions
from shared.database.pool import Connection
from shared.database.tool_executions import ToolExecution
from shared.domain import Json
from shared.events import Event
from shared.message_ids import new_message_id

DECLINED = "The user has declined this call."
PASSED_OVER = "The user has neither approved nor declined this call, but gone on; it was not executed."


def unknown_outcome(why: str) -> str:
    """What the model is told of a call that was begun and has no result."""
    return f"The outcome of this call is unknown: {why}. It may have had its effects; check before you call it again."


async def finish(
    connection: Connection,
    execution: ToolExecution,
    *,
    agent_run_id: UUID,
    thread_id: UUID,
    success: bool,
    output: object,
) -> None:
    """Record a call's result and tell the thread's subscribers, as of run ``agent_run_id``; the first result stands."""
    recorded = await tool_executions.finish(
        connection,
        assistant_message_id=execution.assistant_message_id,
        call_id=execution.call_id,
        result={"success": success, "output": output},
    )
    if recorded:
        told = _event(agent_run_id, execution.call_id, success, output)
        await facts.add(connection, thread_id=thread_id, facts=[told])


async def put_among_messages(
    connection: Connection,
    execution: ToolExecution,
    *,
    thread_id: UUID,
    account_id: str,
    success: bool,
    text: str,
    xml_adding_strategy: XmlAddingStrategy,
) -> None:
    """Put a recorded result among the thread's messages, as ``text``, where the model sees it."""
    await messages.insert(
        connection,
        message_id=new_message_id(),
        thread_id=thread_id,
        account_id=account_id,
        # Behind the call's own message, also when a later run answers it.
        run_number=execution.run_number,
        type="tool",
        content=_content(execution, text, xml_adding_strategy),
        metadata={
            "assistant_message_id": str(execution.assistant_message_id),
            "tool_call_id": execution.call_id,
            "tool_name": execution.name,
            "success": success,
        },
        agent_run_id=execution.agent_run_id,
    )
    await tool_executions.answered(
        connection, assistant_message_id=execution.assistant_message_id, call_id=execution.call_id
    )


def _event(run_id: UUID, call_id: str, success: bool, output: object) -> Event:
    if success:
        return events.tool_finished(run_id, call_id, output=output)
    message = output if isinstance(output, str) else str(events.fitting(output))
    return events.tool_error(run_id, call_id, message=message)


def _content(execution: ToolExecution, text: str, xml_adding_strategy: XmlAddingStrategy) -> Json:
    if execution.form == "native":
        return {"role": "tool", "tool_call_id": execution.call_id, "name": execution.name, "content": text}
    role = "assistant" if xml_adding_strategy == "assistant_message" else "user"
    body = f'<tool_result name="{execution.name}" call_id="{execution.call_id}">\n{text}\n</tool_result>'
    return {"role": role, "content": body}
