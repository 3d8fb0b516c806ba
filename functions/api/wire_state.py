"""Shapes of a thread's states on the wire, as ``langgraph-sdk`` speaks them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from functions.api.body import Body, Fields, Words
from functions.api.wire import CheckpointBody, RunInput, wire_run_error
from shared.database.checkpoints import Interrupt
from shared.domain import UNFINISHED, Json, Message, Thread
from shared.errors import InvalidRequestError
from shared.stream.snapshot import wire_message

# The one node there is: the agent loop.
NODE = "agent"


class WireInterrupt(BaseModel):
    """What somebody has to answer, with ``command.resume`` of the next run."""

    id: str
    value: Any


class ThreadTask(BaseModel):
    """What is being done, waits for an answer, or went wrong: at most one a thread; ``id`` is the run's."""

    id: str
    name: str = NODE
    error: str | None = None
    interrupts: list[WireInterrupt] = Field(default_factory=list[WireInterrupt])
    checkpoint: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class ThreadState(BaseModel):
    """A state of a thread: its messages up to the one that is the checkpoint."""

    values: dict[str, Any]
    next: list[str] = Field(default_factory=list[str])
    tasks: list[ThreadTask] = Field(default_factory=list[ThreadTask])
    interrupts: list[WireInterrupt] = Field(default_factory=list[WireInterrupt])
    metadata: dict[str, Any]
    created_at: datetime
    checkpoint: dict[str, Any]
    parent_checkpoint: dict[str, Any] | None = None


class BeforeConfig(Body):
    """A checkpoint as older clients name it: a graph's configuration."""

    configurable: CheckpointBody


class StateAtCheckpoint(Body):
    """Body of ``POST /threads/{thread_id}/state/checkpoint``."""

    checkpoint: CheckpointBody = Field(default_factory=CheckpointBody)
    select: Words | None = None


class StateUpdate(Body):
    """Body of ``POST /threads/{thread_id}/state``: messages to append. ``as_node`` has no meaning here."""

    values: RunInput | None = None
    checkpoint: CheckpointBody | None = None
    checkpoint_id: UUID | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_messages(cls, body: Any) -> Any:
        values: Any = cast("Json", body).get("values") if isinstance(body, dict) else None
        if isinstance(values, list) or (isinstance(values, dict) and cast("Json", values).keys() - {"messages"}):
            raise ValueError("'values' is an object with 'messages': the thread's state has nothing else")
        return cast("Any", body)

    @property
    def wanted_checkpoint(self) -> UUID | None:
        """The state that the update was made for."""
        return self.checkpoint_id or (self.checkpoint.checkpoint_id if self.checkpoint else None)


class HistorySearch(Body):
    """Body of ``POST /threads/{thread_id}/history``."""

    limit: int = Field(default=10, ge=1, le=1000)
    before: UUID | BeforeConfig | CheckpointBody | None = None
    metadata: Fields | None = None
    checkpoint: CheckpointBody | None = None
    select: Words | None = None

    @property
    def before_id(self) -> UUID | None:
        """The checkpoint before which the states are wanted."""
        match self.before:
            case BeforeConfig():
                return self.before.configurable.checkpoint_id
            case CheckpointBody():
                return self.before.checkpoint_id
            case _:
                return self.before


class StateUpdated(BaseModel):
    """What a state update answers."""

    checkpoint: dict[str, Any]


def checkpoint(thread_id: UUID, message_id: UUID | None) -> Json:
    """The checkpoint that a message is; ``None``: that of a thread without messages."""
    return {
        "thread_id": str(thread_id),
        "checkpoint_ns": "",
        "checkpoint_id": None if message_id is None else str(message_id),
        "checkpoint_map": None,
    }


def values(messages: Sequence[Message], interrupts: Sequence[Interrupt] = ()) -> Json:
    """The values of a state; what has to be answered stands beside the messages, as a run's end tells it."""
    found: Json = {"messages": [langchain_message(message) for message in messages]}
    if interrupts:
        found["__interrupt__"] = [wire_interrupt(item).model_dump() for item in interrupts]
    return found


def langchain_message(message: Message) -> Json:
    """A message as LangChain's clients read it: each field that one of its kind has there."""
    rest: Json = {"additional_kwargs": {}, "response_metadata": {}, "name": None}
    match message.type:
        case "assistant":
            rest |= {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": message.metadata.get("usage")}
        case "tool":
            succeeded = message.metadata.get("success", True)
            rest |= {"artifact": None, "status": "success" if succeeded else "error"}
        case _:
            pass
    return {**rest, **langchain_calls(wire_message(message))}


def langchain_calls(message: Json) -> Json:
    """``message`` with its tool calls as LangChain writes them: ``{"name", "args", "id", "type": "tool_call"}``."""
    calls: list[Json] | None = message.get("tool_calls")
    if not calls:
        return message
    return {**message, "tool_calls": [_langchain_call(call) for call in calls]}


def _langchain_call(call: Json) -> Json:
    function: Json = call["function"]
    return {
        "name": function["name"],
        "args": json.loads(function["arguments"]),
        "id": call["id"],
        "type": "tool_call",
    }


def wire_interrupt(interrupt: Interrupt) -> WireInterrupt:
    """An interrupt on the wire."""
    return WireInterrupt(id=interrupt.interrupt_id, value=interrupt.value)


def past_state(thread: Thread, messages: Sequence[Message], parent: Message | None) -> ThreadState:
    """The state that the last of ``messages`` made."""
    last = messages[-1] if messages else None
    run_id = None if last is None or last.agent_run_id is None else str(last.agent_run_id)
    return ThreadState(
        values=values(messages),
        metadata={
            **thread.metadata,
            "thread_id": str(thread.thread_id),
            "run_id": run_id,
            "source": "loop" if last is not None and last.type in {"assistant", "tool", "summary"} else "input",
        },
        created_at=thread.created_at if last is None else last.created_at,
        checkpoint=checkpoint(thread.thread_id, None if last is None else last.message_id),
        parent_checkpoint=None if parent is None else checkpoint(thread.thread_id, parent.message_id),
    )


def newest_state(
    thread: Thread,
    messages: Sequence[Message],
    parent: Message | None,
    *,
    interrupts: Sequence[Interrupt],
    last_run: tuple[UUID, Json | None] | None,
) -> ThreadState:
    """The thread's state now: with what is being done, has to be answered, or went wrong (``last_run``: id, error)."""
    state = past_state(thread, messages, parent)
    if last_run is None:
        return state
    run_id, error = last_run
    state.interrupts = [wire_interrupt(item) for item in interrupts]
    if thread.last_run_status in UNFINISHED or state.interrupts:
        state.next = [NODE]
    if state.next or thread.last_run_status in {"failed", "timed_out"}:
        told = wire_run_error(error) if thread.last_run_status in {"failed", "timed_out"} else None
        state.tasks = [ThreadTask(id=str(run_id), interrupts=state.interrupts, error=told)]
    return state


def selected(shape: BaseModel, fields: Sequence[str] | None) -> Json:
    """``shape`` as JSON, only the named fields if any are; ``values.messages`` selects ``values``.

    Raises:
        InvalidRequestError: there is no such field.
    """
    body = shape.model_dump(mode="json")
    if not fields:
        return body
    wanted = {field.partition(".")[0] for field in fields}
    unknown = wanted - body.keys()
    if unknown:
        raise InvalidRequestError(f"select: there is no field {min(unknown)!r}; there are {', '.join(body)}")
    return {name: value for name, value in body.items() if name in wanted}
