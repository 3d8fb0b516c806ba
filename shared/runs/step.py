"""A step of the workflow: ids in, ids out."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from shared.aws.queue import RunMessage
from shared.domain import Json
from shared.telemetry import bound

NextStep = Literal["advance", "summarize", "end"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step is told: whose run, and the hand-over that it is guarded by."""

    message: RunMessage
    handover_no: int

    @classmethod
    def of(cls, event: dict[str, Any]) -> "Step":
        """The step of a workflow's payload."""
        message = RunMessage(
            agent_run_id=UUID(event["agent_run_id"]),
            thread_id=UUID(event["thread_id"]),
            account_id=event["account_id"],
            request_id=event.get("request_id"),
        )
        return cls(message=message, handover_no=int(event["handover_no"]))

    def logged(self) -> AbstractContextManager[None]:
        """The step's ids on every log line inside the block."""
        message = self.message
        return bound(
            request_id=message.request_id, thread_id=str(message.thread_id), agent_run_id=str(message.agent_run_id)
        )

    def answer(self, event: Json, *, outcome: str, next_step: NextStep, handover_no: int | None = None) -> Json:
        """The next step's input."""
        return {**event, "outcome": outcome, "next": next_step, "handover_no": handover_no or self.handover_no}
