"""Shapes on the wire, as ``langgraph-sdk`` speaks them, and the one mapping of our words to theirs."""

from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from functions.api.body import MOST_ITEMS, Blocks, Body, Fields, Metadata, Words
from shared.domain import AgentRun, Json, Message, MessageType, MultitaskStrategy, RunStatus, Thread
from shared.runs.record import NewMessage

WireRunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
WireThreadStatus = Literal["idle", "busy", "interrupted", "error"]
SunaStatus = Literal["queued", "running", "completed", "failed", "stopped"]
ThreadSortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]

_RUN_STATUS: dict[RunStatus, WireRunStatus] = {
    "queued": "pending",
    "running": "running",
    "completed": "success",
    "failed": "error",
    "timed_out": "timeout",
    "stopped": "interrupted",
    "needs_input": "interrupted",
}
_THREAD_STATUS: dict[RunStatus | None, WireThreadStatus] = {
    None: "idle",
    "queued": "busy",
    "running": "busy",
    "completed": "idle",
    "stopped": "idle",
    "failed": "error",
    "timed_out": "error",
    "needs_input": "interrupted",
}
_SUNA_STATUS: dict[RunStatus, SunaStatus] = {
    "queued": "queued",
    "running": "running",
    "completed": "completed",
    "needs_input": "completed",
    "failed": "failed",
    "timed_out": "failed",
    "stopped": "stopped",
}
_ROLE_TYPES: dict[str, MessageType] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
}


def run_statuses(word: str) -> list[RunStatus]:
    """The statuses that ``word`` of the wire stands for."""
    return [status for status, wire in _RUN_STATUS.items() if wire == word]


def last_run_statuses(word: WireThreadStatus) -> list[RunStatus | None]:
    """The statuses of its newest run that give a thread the status ``word``."""
    return [status for status, wire in _THREAD_STATUS.items() if wire == word]


def wire_run_error(error: Json | None) -> str | None:
    """A run's error as one line."""
    return None if error is None else f"{error.get('code')}: {error.get('message')}"


def suna_status(status: RunStatus) -> SunaStatus:
    """A run's status as Suna's own routes say it."""
    return _SUNA_STATUS[status]


class ErrorBody(BaseModel):
    """What every error answers: a stable ``code``, a ``message`` that says what to do, ``detail`` if there is more."""

    code: str
    message: str
    detail: Any = None


class ThreadCreate(Body):
    """Body of ``POST /threads``. ``is_public``: every account may read the thread; none but yours writes it."""

    thread_id: UUID = Field(default_factory=uuid4)
    metadata: Metadata = Field(default_factory=dict[str, Any])
    is_public: bool = False
    if_exists: Literal["raise", "do_nothing"] = "raise"
    ttl: Any = None
    supersteps: Any = None

    @field_validator("thread_id", "metadata", "is_public", "if_exists", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value


class ThreadPatch(Body):
    """Body of ``PATCH /threads/{thread_id}``: keys to merge into the metadata; whether every account may read it."""

    metadata: Metadata = Field(default_factory=dict[str, Any])
    is_public: bool | None = None
    ttl: Any = None


class ThreadSearch(Body):
    """Body of ``POST /threads/search``."""

    ids: list[UUID] | None = Field(default=None, max_length=MOST_ITEMS)
    metadata: Metadata | None = None
    status: WireThreadStatus | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, lt=2**63)
    sort_by: ThreadSortBy = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: Words | None = None
    values: Any = None
    extract: Any = None

    @field_validator("sort_by", "sort_order", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default() if value is None else value


class InputMessage(Body):
    """A message as OpenAI (``role``) or LangChain (``type``) writes it; ``content`` is text or content blocks."""

    role: str | None = None
    type: str | None = None
    content: str | Blocks
    id: UUID | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _known_role(self) -> "InputMessage":
        word = self.role or self.type
        if word not in _ROLE_TYPES:
            raise ValueError(f"'role' must be one of {', '.join(_ROLE_TYPES)}, not {word!r}")
        return self

    def new_message(self) -> NewMessage:
        """The message to record."""
        message_type = _ROLE_TYPES[self.role or self.type or ""]
        content: Json = {"role": message_type, "content": self.content}
        if self.tool_call_id is not None:
            content["tool_call_id"] = self.tool_call_id
        return NewMessage(type=message_type, content=content, message_id=self.id)


class RunInput(Body):
    """``input`` of a run: the messages to append to the thread. A string is one message of the user."""

    messages: list[InputMessage] = Field(default_factory=list[InputMessage], max_length=MOST_ITEMS)

    @field_validator("messages", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        many: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
        return [{"role": "user", "content": item} if isinstance(item, str) else item for item in many]


class RunConfig(Body):
    """``config`` of a run.

    ``configurable``: fields of :class:`shared.agent_config.AgentConfig` that the run overrides, and those of
    :class:`shared.agent_config.RunOptions`; what is neither is ignored, for clients put ids of their own there.
    """

    configurable: Fields = Field(default_factory=dict[str, Any])

    @field_validator("configurable")
    @classmethod
    def _names_a_checkpoint(cls, configurable: dict[str, Any]) -> dict[str, Any]:
        try:
            _configured(configurable)
        except ValidationError as error:
            raise ValueError("a checkpoint's id is a message's: a UUID") from error
        return configurable


class RunCommand(Body):
    """``command`` of a run. ``resume``: the answer to what the thread is interrupted by. The others are refused."""

    resume: Any = None
    goto: Any = None
    update: Any = None


class CheckpointBody(Body):
    """A checkpoint as clients name it: ``checkpoint_id`` is a message's. Others of its fields have no meaning here."""

    checkpoint_id: UUID | None = None
    checkpoint_ns: str | None = None


class ConfigurableCheckpoint(CheckpointBody):
    """A checkpoint as older clients name it: among what is ``configurable``."""

    thread_ts: UUID | None = None


def _configured(configurable: Json) -> ConfigurableCheckpoint:
    return ConfigurableCheckpoint.model_validate({name: value for name, value in configurable.items() if value})


class RunCreate(Body):
    """Body of ``POST /threads/{thread_id}/runs``."""

    assistant_id: str = Field(min_length=1, max_length=200)
    input: RunInput | None = None
    command: RunCommand | None = None
    config: RunConfig = Field(default_factory=RunConfig)
    metadata: Metadata = Field(default_factory=dict[str, Any])
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: float = Field(default=0, ge=0, le=7 * 24 * 3600)
    stream_mode: Words | None = None
    webhook: str | None = None
    interrupt_before: Any = None
    interrupt_after: Any = None
    checkpoint: CheckpointBody | None = None
    checkpoint_id: UUID | None = None
    context: Any = None

    @property
    def checkpoints(self) -> set[UUID]:
        """The states that it is to go on from: threads do not branch, so there is at most one."""
        named = self.checkpoint or CheckpointBody()
        configured = _configured(self.config.configurable)
        ids = {named.checkpoint_id, self.checkpoint_id, configured.checkpoint_id, configured.thread_ts}
        return {checkpoint_id for checkpoint_id in ids if checkpoint_id is not None}

    def unsupported(self) -> str | None:
        """What the run asks for that does not exist here, and what there is instead."""
        if self.interrupt_before or self.interrupt_after:
            return "'interrupt_before' and 'interrupt_after' are not supported: tools may need approval instead"
        named = (self.checkpoint or CheckpointBody(), _configured(self.config.configurable))
        if any(checkpoint.checkpoint_ns for checkpoint in named):
            return "'checkpoint_ns' is not supported: a thread has one state, and none below it"
        if self.command and self.command.goto:
            return "'command.goto' is not supported: there are no nodes to go to"
        if self.command and self.command.update:
            return "'command.update' is not supported: append messages with 'input', or by the thread's state"
        if self.context:
            return "'context' is not supported: use config.configurable"
        return None

    @field_validator("stream_mode", mode="before")
    @classmethod
    def _one_mode_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("config", "metadata", "multitask_strategy", "if_not_exists", "after_seconds", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value

    @field_validator("input", mode="before")
    @classmethod
    def _text_is_a_message(cls, value: Any) -> Any:
        return {"messages": [value]} if isinstance(value, str) else value


class RunsCancel(Body):
    """Body of ``POST /runs/cancel``: which unfinished runs; at least one field."""

    thread_id: UUID | None = None
    run_ids: list[UUID] | None = Field(default=None, max_length=100)
    status: Literal["pending", "running", "all"] | None = None

    @model_validator(mode="after")
    def _says_which(self) -> "RunsCancel":
        if self.thread_id is None and not self.run_ids and self.status is None:
            raise ValueError("say which runs: 'thread_id', 'run_ids' or 'status'")
        return self


class WireThread(BaseModel):
    """A thread."""

    thread_id: UUID
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: dict[str, Any]
    is_public: bool
    status: WireThreadStatus
    config: dict[str, Any] = Field(default_factory=dict[str, Any])
    values: dict[str, Any] | None = None
    interrupts: dict[str, Any] = Field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, thread: Thread, interrupts: dict[str, Any] | None = None) -> "WireThread":
        """``thread`` on the wire; ``interrupts`` by run id: what has to be answered."""
        return cls(
            thread_id=thread.thread_id,
            created_at=thread.created_at,
            updated_at=thread.updated_at,
            state_updated_at=thread.updated_at,
            metadata=thread.metadata,
            is_public=thread.is_public,
            status=_THREAD_STATUS[thread.last_run_status],
            interrupts=interrupts or {},
        )


class WireRun(BaseModel):
    """A run. ``error`` is null, or says why it did not succeed."""

    run_id: UUID
    thread_id: UUID
    assistant_id: str
    created_at: datetime
    updated_at: datetime
    status: WireRunStatus
    metadata: dict[str, Any]
    multitask_strategy: MultitaskStrategy
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None

    @classmethod
    def of(cls, run: AgentRun) -> "WireRun":
        """``run`` on the wire."""
        return cls(
            run_id=run.agent_run_id,
            thread_id=run.thread_id,
            assistant_id=run.assistant_id,
            created_at=run.created_at,
            updated_at=run.updated_at,
            status=_RUN_STATUS[run.status],
            metadata=run.metadata,
            multitask_strategy=run.multitask_strategy,
            error=run.error,
            usage=run.usage,
        )


class WireStoredMessage(BaseModel):
    """A message as Suna shows it."""

    message_id: UUID
    thread_id: UUID
    type: MessageType
    is_llm_message: bool
    content: dict[str, Any]
    metadata: dict[str, Any]
    agent_run_id: UUID | None
    created_at: datetime

    @classmethod
    def of(cls, message: Message) -> "WireStoredMessage":
        """``message`` on the wire."""
        return cls(
            message_id=message.message_id,
            thread_id=message.thread_id,
            type=message.type,
            is_llm_message=message.is_llm_message,
            content=message.content,
            metadata=message.metadata,
            agent_run_id=message.agent_run_id,
            created_at=message.created_at,
        )
