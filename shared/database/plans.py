"""What accounts may use: their plans, which are rows of ``plans``, and how much of it they use."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from shared.allowed import Allowed, Named
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.errors import ConflictError, ForbiddenError, LimitExceededError, NotFoundError

_SQL = queries("plans")

# A message has to fit into a WebSocket frame; the detail has them all.
_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What an account uses of its plan, as a run of one of its threads is about to be recorded.

    ``thread_ids``: the threads of the ``unfinished_runs``; ``busy_with``: an unfinished run of the thread itself.
    ``thread_messages``: of the thread, up to what the plan allows, if that is bounded. ``allowed``: what
    its agents may name.
    """

    unfinished_runs: int
    max_unfinished_runs: int
    thread_ids: Sequence[UUID]
    busy_with: UUID | None
    thread_messages: int
    max_thread_messages: int | None
    allowed: Allowed

    def admit_messages(self, count: int) -> None:
        """See to it that so many more messages are within the plan.

        Raises:
            ConflictError: the thread would have more than it allows.
        """
        if self.max_thread_messages is not None and count > self.max_thread_messages - self.thread_messages:
            raise ConflictError(
                f"the thread has {self.thread_messages} messages, and the account's plan allows"
                f" {self.max_thread_messages}: go on on another thread",
                detail={"thread_messages": self.thread_messages, "max_thread_messages": self.max_thread_messages},
            )

    def admit_run(self) -> None:
        """See to it that one more run is within the plan.

        Raises:
            LimitExceededError: it is not; message and detail say how many runs are unfinished, and on which threads.
        """
        if self.unfinished_runs < self.max_unfinished_runs:
            return
        ids = sorted(str(thread_id) for thread_id in self.thread_ids)
        named = ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")
        raise LimitExceededError(
            f"{self.unfinished_runs} runs of this account are unfinished (threads {named or 'none'}), and its plan"
            f" allows {self.max_unfinished_runs}: wait until one has ended, or cancel one",
            detail={
                "running_thread_ids": ids,
                "running_count": self.unfinished_runs,
                "limit": self.max_unfinished_runs,
            },
        )


async def usage(connection: Connection, *, account_id: str, thread_id: UUID) -> Usage:
    """What the account uses, for a run of the thread.

    The caller holds the account's row lock since an earlier statement: this one has to see the runs of whoever it
    waited for.

    Raises:
        NotFoundError: there is no such account.
    """
    row = await connection.fetchrow(_SQL["usage"], account_id, thread_id)
    if row is None:
        raise NotFoundError(f"account {account_id!r} not found")
    named = {"models", "provider_keys"}
    return Usage(allowed=_allowed(row), **{name: value for name, value in row.items() if name not in named})


async def request_rate(connection: Connection, *, account_id: str) -> tuple[int, int]:
    """Requests a minute that the account's plan allows, and how many of them at once."""
    row = await connection.fetchrow(_SQL["request_rate"], account_id)
    assert row is not None  # noqa: S101 - accounts refer to their plans, and the default plan is made by a migration
    return row["requests_per_minute"], row["request_burst"]


async def answer_tool_calls(connection: Connection, *, account_id: str) -> int:
    """Calls of one answer of a model that the account's plan has executed."""
    most: int = await connection.fetchval(_SQL["answer_tool_calls"], account_id)
    return most


async def allowed(connection: Connection, *, account_id: str) -> Allowed:
    """What the account's agents may name."""
    row = await connection.fetchrow(_SQL["allowed"], account_id)
    assert row is not None  # noqa: S101 - as above
    return _allowed(row)


def admit(named: Named, allowed: Allowed) -> None:
    """See to it that a plan allows what an agent names.

    Raises:
        ForbiddenError: it does not; message and detail say what it allows.
    """
    refused = allowed.refusal(named)
    if refused is not None:
        raise ForbiddenError(refused.message, detail={"limit": refused.limit, refused.limit: list(refused.patterns)})


def _allowed(row: asyncpg.Record) -> Allowed:
    return Allowed(models=row["models"], provider_keys=row["provider_keys"])


@dataclass(frozen=True, kw_only=True)
class FileLimits:
    """What an account may upload: bytes a file, files a thread, types of content."""

    max_file_bytes: int
    max_thread_files: int
    file_types: Sequence[str]


async def file_limits(connection: Connection, *, account_id: str) -> FileLimits:
    """What the account's plan allows to upload."""
    row = await connection.fetchrow(_SQL["file_limits"], account_id)
    assert row is not None  # noqa: S101 - as above
    return FileLimits(**row)


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Connections that an account may have open at a time (``None``: any number), and subscriptions of each."""

    max_connections: int | None
    max_subscriptions: int


async def connection_limits(connection: Connection, *, account_id: str) -> ConnectionLimits:
    """What the account's plan allows to keep open."""
    row = await connection.fetchrow(_SQL["connection_limits"], account_id)
    assert row is not None  # noqa: S101 - as above
    return ConnectionLimits(**row)
