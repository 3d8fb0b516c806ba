"""Shapes of Suna's own routes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from functions.api.body import Body
from functions.api.wire import RunConfig, RunCreate, RunInput, SunaStatus, suna_status, wire_run_error
from shared.agent_config import DEFAULT_ASSISTANT_ID
from shared.domain import AgentRun


class AgentStart(Body):
    """Body of ``POST /api/thread/{thread_id}/agent/start``. ``stream`` has no effect: every run can be followed."""

    model_name: str | None = Field(default=None, max_length=200)
    agent_id: str | None = Field(default=None, max_length=200)
    stream: bool = True
    enable_context_manager: bool | None = None

    def run(self, prompt: str | None = None, *, files: Sequence[UUID] = (), create_thread: bool = False) -> RunCreate:
        """The run that is asked for, with ``prompt`` and files of the thread as its message."""
        blocks = [{"type": "file", "file_id": str(file_id)} for file_id in files]
        content = [{"type": "text", "text": prompt}, *blocks] if files else prompt
        given = {"model": self.model_name, "enable_context_manager": self.enable_context_manager}
        configurable = {name: value for name, value in given.items() if value is not None}
        return RunCreate(
            assistant_id=self.agent_id or DEFAULT_ASSISTANT_ID,
            input=None
            if prompt is None
            else RunInput.model_validate({"messages": {"role": "user", "content": content}}),
            config=RunConfig(configurable=configurable),
            if_not_exists="create" if create_thread else "reject",
        )


class AgentInitiated(BaseModel):
    """What ``POST /api/agent/initiate`` answers."""

    thread_id: UUID
    agent_run_id: UUID


class AgentStarted(BaseModel):
    """What ``POST /api/thread/{thread_id}/agent/start`` answers."""

    agent_run_id: UUID
    status: SunaStatus


class AgentStopped(BaseModel):
    """What ``POST /api/agent-run/{agent_run_id}/stop`` answers."""

    status: SunaStatus


class SunaRun(BaseModel):
    """A run as Suna shows it."""

    id: UUID
    threadId: UUID
    status: SunaStatus
    startedAt: datetime | None
    completedAt: datetime | None
    error: str | None

    @classmethod
    def of(cls, run: AgentRun) -> "SunaRun":
        """``run`` as Suna shows it."""
        return cls(
            id=run.agent_run_id,
            threadId=run.thread_id,
            status=suna_status(run.status),
            startedAt=run.started_at,
            completedAt=run.ended_at,
            error=wire_run_error(run.error),
        )


class SunaRuns(BaseModel):
    """A thread's runs, newest first."""

    agent_runs: list[SunaRun]
