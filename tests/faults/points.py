"""Points at which a function waits for word from outside: put into the functions' code as ``shared/fault_points.py``.

At each point the process tells the control (``tests.faults.control``) where it is, and goes on when it is answered:
at once, unless a case waits for this thread at this point. The event loop runs meanwhile, so that leases are renewed.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, ClassVar
from uuid import UUID

from asyncpg import ConnectionDoesNotExistError
from asyncpg.transaction import Transaction
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ConnectionError as RedisConnectionError

_THREAD: ContextVar[UUID | None] = ContextVar("thread", default=None)

# How many chunks of an answer a runner has read when it reaches the point "stream".
_CHUNKS = 4
# So that thirty short messages are a context to summarise.
_BUDGET_TOKENS = 4_000


class _Wire:
    """What is armed in this process."""

    lose_reply_of: ClassVar[set[UUID]] = set()
    lose_commit_of: ClassVar[set[UUID]] = set()


async def _said(message: dict[str, Any]) -> dict[str, Any]:
    host, _, port = os.environ["FAULTS_CONTROL"].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        message |= {"pid": os.getpid(), "service": os.environ["POWERTOOLS_SERVICE_NAME"], "time": time.time()}
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()
        return json.loads(await reader.readline())
    finally:
        writer.close()


async def reached(point: str, thread_id: UUID | None = None) -> None:
    """This process is at ``point`` in its work on ``thread_id`` (default: the run that the task works on)."""
    thread_id = thread_id or _THREAD.get()
    if thread_id is None:
        return
    _THREAD.set(thread_id)
    answer = await _said({"point": point, "thread": str(thread_id)})
    match answer["do"]:
        case "lose_reply":
            _Wire.lose_reply_of.add(thread_id)
        case "lose_commit":
            _Wire.lose_commit_of.add(thread_id)


async def effect(key: str, call_id: str, *, thread_id: UUID) -> None:
    """Have an effect outside: the ledger notes it."""
    await _said({"effect": key, "call": call_id, "thread": str(thread_id)})


def _around(owner: Any, name: str, *, before: str | None = None, after: str | None = None, **only: str) -> None:
    """Have the points ``before`` and ``after`` reached around ``owner.name``; ``only``: by what argument values."""
    real: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def with_points(*args: Any, **kwargs: Any) -> Any:
        thread_id = getattr(next((arg for arg in args if hasattr(arg, "thread_id")), None), "thread_id", None)
        meant = all(value in args for value in only.values())
        if before and meant:
            await reached(before, thread_id)
        answer = await real(*args, **kwargs)
        if after and meant:
            await reached(after, thread_id)
        return answer

    setattr(owner, name, with_points)


def _of_thread(owner: Any, name: str, thread_of: Callable[[Any], UUID]) -> None:
    """Let all that ``owner.name`` does be known to work on the thread of its first argument."""
    real: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def known(self: Any, work: Any, *args: Any, **kwargs: Any) -> Any:
        _THREAD.set(thread_of(work))
        return await real(self, work, *args, **kwargs)

    setattr(owner, name, known)


def _lossy_replies(client: Any) -> None:
    real = client.parse_response

    async def lossy(self: Any, connection: Any, command: str, **kwargs: Any) -> Any:
        thread_id = _THREAD.get()
        if command != "EVAL" or thread_id is None or thread_id not in _Wire.lose_reply_of:
            return await real(self, connection, command, **kwargs)
        _Wire.lose_reply_of.remove(thread_id)
        answer = await real(self, connection, command, **kwargs)  # so it was executed, whatever is said now
        await connection.disconnect()
        await _said({"lost": [str(part) for part in answer], "thread": str(thread_id)})
        raise RedisConnectionError("the reply was lost")

    client.parse_response = lossy


def _lossy_commits() -> None:
    name = "_Transaction__commit"
    real = getattr(Transaction, name)

    async def lossy(self: Any) -> None:
        await real(self)  # so it is done, whatever is said now
        thread_id = _THREAD.get()
        if thread_id is None or thread_id not in _Wire.lose_commit_of:
            return
        _Wire.lose_commit_of.remove(thread_id)
        self._connection.terminate()
        await _said({"lost": ["COMMIT"], "thread": str(thread_id)})
        raise ConnectionDoesNotExistError("the reply was lost")

    setattr(Transaction, name, lossy)


def _points_of_recording() -> None:
    from shared.aws import queue  # noqa: PLC0415 - what is not imported here yet must not be

    _around(queue, "send", after="watched", queue="watch")
    _around(queue, "send", before="dispatch", after="dispatched", queue="runs")


def _points_of_holding(*, of: str = "") -> None:
    from shared.runs import transitions  # noqa: PLC0415

    _around(transitions, "finish", before=f"{of}end", after=f"{of}ended")
    _around(transitions, "hand_over", before=f"{of}hand_over", after=f"{of}handed_over")


def _points_of_runner() -> None:
    from functions.runner import execution, turn  # noqa: PLC0415
    from functions.runner.transcript import Transcript  # noqa: PLC0415

    _around(execution.Execution, "execute", before="claim")
    _of_thread(execution.Execution, "execute", lambda message: message.thread_id)
    _around(execution, "settle", before="settle")
    _around(Transcript, "finish", after="finished")
    keep = Transcript.keep

    async def kept(self: Any, *args: Any, begun: Any = (), **kwargs: Any) -> None:
        await keep(self, *args, begun=begun, **kwargs)
        if begun:
            await reached("called")

    Transcript.keep = kept  # type: ignore[method-assign]
    chunks = turn.chunks_of

    async def counted(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
        stream = chunks(*args, **kwargs)
        try:
            number = 0
            async for chunk in stream:
                number += 1
                if number == _CHUNKS:
                    await reached("stream")
                yield chunk
        finally:
            await stream.aclose()

    turn.chunks_of = counted


def _points_of_summarizer() -> None:
    from functions.summarizer.summarizing import Summarizing  # noqa: PLC0415
    from shared.context.summaries import Summaries  # noqa: PLC0415
    from shared.llm import Llm  # noqa: PLC0415

    _around(Summarizing, "summarize", before="summary_claim")
    _of_thread(Summarizing, "summarize", lambda step: step.message.thread_id)
    _around(Llm, "complete", before="summary_ask", after="summary_told")
    _around(Summaries, "_write", after="summary_kept")


def _small_budget() -> None:
    from shared.context.manager import ContextManager  # noqa: PLC0415

    ContextManager._budget = lambda self, model: _BUDGET_TOKENS


def install() -> None:
    """Put the points of this function in place."""
    _points_of_recording()
    if "functions.runner.main" in sys.modules or "functions.runner.execution" in sys.modules:
        _points_of_holding()
        _points_of_runner()
    if "functions.summarizer.summarizing" in sys.modules:
        _points_of_holding(of="summary_")
        _points_of_summarizer()
    if "shared.context.manager" in sys.modules:
        _small_budget()
    _lossy_commits()
    if "redis" in sys.modules:
        for client in (ClusterNode, Redis):
            _lossy_replies(client)


install()
