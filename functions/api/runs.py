"""Starting runs: one service under every interface that can start one."""

from uuid import UUID

from functions.api.wire import RunCreate
from shared.domain import AgentRun
from shared.runs.record import NewRun, record_run


async def start_run(*, account_id: str, thread_id: UUID, body: RunCreate) -> AgentRun:
    """Record and dispatch a run. Raises as :func:`shared.runs.record.record_run`."""
    return await record_run(
        NewRun(
            account_id=account_id,
            thread_id=thread_id,
            assistant_id=body.assistant_id,
            messages=[message.new_message() for message in (body.input.messages if body.input else [])],
            model=body.config.configurable.model,
            config=body.config.configurable.model_dump(exclude_none=True),
            metadata=body.metadata,
            multitask_strategy=body.multitask_strategy,
            create_thread=body.if_not_exists == "create",
            after_s=body.after_seconds,
        )
    )
