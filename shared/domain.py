"""Plain types of the domain, as the database holds them, and the words a run's life is told in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

RunStatus = Literal["queued", "running", "completed", "failed", "stopped", "timed_out", "needs_input"]
Executor = Literal["queue", "workflow"]
MessageType = Literal["user", "assistant", "system", "tool", "summary"]
MultitaskStrategy = Literal["enqueue", "reject", "interrupt", "rollback"]
StopKind = Literal["stop", "interrupt", "rollback"]
Scope = Literal["read", "write"]

UNFINISHED: frozenset[RunStatus] = frozenset({"queued", "running"})
TERMINAL: frozenset[RunStatus] = frozenset({"completed", "failed", "stopped", "timed_out", "needs_input"})

SCOPES: frozenset[Scope] = frozenset({"read", "write"})
"""What a credential may allow: a token allows everything."""


def scopes_of(words: str) -> frozenset[Scope]:
    """Scopes from their words, with spaces between them."""
    return frozenset(scope for scope in SCOPES if scope in words.split())


type Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A conversation. ``is_public``: every account may read it. ``last_run_status``: ``None`` before the first run."""

    thread_id: UUID
    account_id: str
    metadata: Json
    is_public: bool
    last_run_status: RunStatus | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message; its place in the thread is (``run_number``, ``position``).

    ``content`` is the message as the model is given it: ``{"role": ..., "content": ..., ...}``.
    """

    message_id: UUID
    thread_id: UUID
    run_number: int
    position: int
    agent_run_id: UUID | None
    type: MessageType
    is_llm_message: bool
    content: Json
    metadata: Json
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class AgentRun:
    """One run of an assistant on a thread, as clients see it."""

    agent_run_id: UUID
    thread_id: UUID
    account_id: str
    number: int
    status: RunStatus
    assistant_id: str
    model: str | None
    metadata: Json
    multitask_strategy: MultitaskStrategy
    error: Json | None
    usage: Json | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


LONGEST_CALL_ID = 2000
"""Characters. An index of PostgreSQL holds 2,704 bytes, and litellm puts Gemini's signatures of a thought into ids."""

LARGEST_METADATA_BYTES = 128 * 1024
"""Of what several requests have merged into one metadata, as PostgreSQL writes it: with a space behind each colon."""


@dataclass(frozen=True, kw_only=True)
class ThreadLog:
    """One thread's event log, which the caller may read: PostgreSQL has said so for the account that asks.

    Made by ``shared.database`` from the thread's row, and nowhere else; whatever reads or writes by thread in Redis
    takes one. So nobody reads what has not been proven to be theirs, and a thread's id alone, which clients choose,
    opens nothing.

    ``generation``: random, made with the thread. A thread that is deleted and made again has another, and another log.
    """

    thread_id: UUID
    generation: UUID


@dataclass(frozen=True, kw_only=True)
class LogHold(ThreadLog):
    """The right to number and append a thread's events, until a newer epoch takes it.

    ``last_seq`` is the number after which this holder's events begin, ``reserved_seq`` the last one that it may use
    before it reserves more. ``replay_s``: for how long after an append the log is kept by the account's plan; ``None``:
    a day.
    """

    account_id: str
    epoch: int
    last_seq: int
    reserved_seq: int
    replay_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class Claim(LogHold):
    """What the holder of a run's lease knows: whom it works for, and the fences it writes under.

    ``lease_s`` counts from the claim; ``running_s`` is how long the run has been executed: since it was first claimed,
    but for the time in which it waited for its next executor. ``stop_requested``: what was asked for while nobody held
    the run.
    """

    agent_run_id: UUID
    number: int
    executor: Executor
    attempt: int
    crashes: int
    handover_no: int
    assistant_id: str
    model: str | None
    config: Json
    lease_s: float
    running_s: float
    stop_requested: StopKind | None = None
