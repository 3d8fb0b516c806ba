"""Routes that follow a run: its stream in slices, and its end."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from functions.api import endings
from functions.api.body import Words
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.idempotency import NewOnce
from functions.api.limits.waits import waiting
from functions.api.runs import start_run
from functions.api.slices import SLICE_S, Slice
from functions.api.stream_modes import STREAM_MODES
from functions.api.wire import RunCreate, WireRun
from shared.database import connection, runs, threads
from shared.database.idempotency import ReplayedError
from shared.domain import TERMINAL, AgentRun, Json, ThreadLog
from shared.errors import EventLogUnavailableError, NotFoundError, NotSupportedError

router = APIRouter(tags=["streams"])

# What a stream that does not say its modes gets.
_DEFAULT_MODES = ("values", "messages-tuple", "updates", "custom")

_RUN = "/threads/{thread_id}/runs/{run_id}"
SSE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}, "description": "A slice"}}


@router.post("/threads/{thread_id}/runs/stream", response_class=Response, responses=SSE)
async def stream_new_run(caller: Caller, thread_id: UUID, body: RunCreate, idempotency: Idempotency) -> Response:
    """Start a run and stream it: what happens within 20 s; go on at ``Location`` with ``Last-Event-ID``, which
    ``langgraph-sdk`` does by itself, until the event ``end``.
    """
    modes = _modes(body.stream_mode)
    log = await _log_of(thread_id, caller.account_id)
    begins_after = 0 if log is None else await _log_end(log)
    async with waiting(caller.account_id, longest_s=SLICE_S) as wait:
        run, is_new = await _started(caller.account_id, thread_id, body, idempotency)
        log = log or await _log_of(thread_id, caller.account_id)
        if log is None:
            raise NotFoundError(f"thread {str(thread_id)!r} not found")
        stream = Slice(run, log, wait, modes=modes, last_event_id=None, begins_after=begins_after if is_new else 0)
        return _sse(run, modes, await stream.text())


class StreamQuery(BaseModel):
    """The query of a stream. Without ``stream_mode``: values, messages-tuple, updates, custom."""

    stream_mode: Words = Field(default_factory=list[str])
    cancel_on_disconnect: bool = False


@router.get(_RUN + "/stream", response_class=Response, responses=SSE)
@router.get("/resume" + _RUN + "/stream", response_class=Response, responses=SSE, name="resume_stream")
async def join_stream(
    caller: Caller,
    thread_id: UUID,
    run_id: UUID,
    query: Annotated[StreamQuery, Query()],
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """A run's stream from its beginning, or behind ``Last-Event-ID``: what is there, and what comes within 20 s.

    Under ``/resume`` it is what ``Location`` names, where ``langgraph-sdk`` comes back to.
    """
    if query.cancel_on_disconnect:
        raise NotSupportedError("a run goes on whoever disconnects: stop it with POST .../cancel")
    modes = _modes(query.stream_mode)
    async with connection() as taken:
        run = await runs.get(taken, agent_run_id=run_id, account_id=caller.account_id, thread_id=thread_id)
        log = await threads.log(taken, thread_id=thread_id, account_id=caller.account_id)
    async with waiting(caller.account_id, longest_s=SLICE_S) as wait:
        return _sse(run, modes, await Slice(run, log, wait, modes=modes, last_event_id=last_event_id).text())


@router.get("/resume" + _RUN)
async def get_resumed_run(caller: Caller, thread_id: UUID, run_id: UUID) -> WireRun:
    """The run, as ``running`` even if it has ended.

    When a slice ends without the event ``end``, ``langgraph-sdk`` asks whether the run goes on, and takes one that has
    ended in between for the end of the stream. Whoever asks here has not seen ``end``, and has to come back for it.
    """
    async with connection() as taken:
        run = await runs.get(taken, agent_run_id=run_id, account_id=caller.account_id, thread_id=thread_id)
    shown = WireRun.of(run)
    return shown.model_copy(update={"status": "running"}) if run.status in TERMINAL else shown


@router.post("/threads/{thread_id}/runs/wait")
async def wait_for_new_run(
    caller: Caller, thread_id: UUID, body: RunCreate, response: Response, idempotency: Idempotency
) -> dict[str, Any]:
    """Start a run and answer with the thread's values at its end; 504 if that takes more than 25 s: it goes on."""
    async with waiting(caller.account_id, longest_s=endings.LONGEST_WAIT_S) as wait:
        run, _ = await _started(caller.account_id, thread_id, body, idempotency)
        response.headers["content-location"] = _path(run)
        return await endings.final_values(
            wait, account_id=caller.account_id, thread_id=thread_id, agent_run_id=run.agent_run_id
        )


@router.get(_RUN + "/join")
async def join_run(caller: Caller, thread_id: UUID, run_id: UUID) -> dict[str, Any]:
    """The thread's values at the run's end; 504 if that is not within 25 s."""
    async with waiting(caller.account_id, longest_s=endings.LONGEST_WAIT_S) as wait:
        return await endings.final_values(wait, account_id=caller.account_id, thread_id=thread_id, agent_run_id=run_id)


async def _started(account_id: str, thread_id: UUID, body: RunCreate, idempotency: NewOnce) -> tuple[AgentRun, bool]:
    """The run that the request starts, or has started before; whether it is new."""
    try:
        run = await start_run(account_id=account_id, thread_id=thread_id, body=body, once=idempotency(_run_id))
    except ReplayedError as replayed:
        async with connection() as taken:
            return await runs.get(
                taken, agent_run_id=UUID(replayed.answer["run_id"]), account_id=account_id, thread_id=thread_id
            ), False
    return run, True


def _run_id(run: AgentRun) -> Json:
    return {"run_id": str(run.agent_run_id)}


async def _log_of(thread_id: UUID, account_id: str) -> ThreadLog | None:
    """The event log of the account's thread, if there is such a thread (yet)."""
    async with connection() as taken:
        position = await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)
    return None if position is None else position.log


async def _log_end(thread_log: ThreadLog) -> int:
    """The log's last number, behind which everything of a run that is recorded later is found; 0 if it is unknown."""
    # Deferred: the event log's client costs a cold start 150 ms, and few requests read a stream.
    from shared.stream import log  # noqa: PLC0415

    try:
        newest = await log.read_back(thread_log, limit=1)
    except EventLogUnavailableError:
        return 0
    return newest[0].seq if newest else 0


def _modes(asked: list[str] | None) -> frozenset[str]:
    """The stream modes.

    Raises:
        NotSupportedError: one of them does not exist here.
    """
    modes = frozenset(mode for mode in asked or () if mode) or frozenset(_DEFAULT_MODES)
    unknown = modes - STREAM_MODES
    if unknown:
        raise NotSupportedError(f"stream_mode {min(unknown)!r} is not supported; use {', '.join(sorted(STREAM_MODES))}")
    return modes


def _path(run: AgentRun) -> str:
    return f"/threads/{run.thread_id}/runs/{run.agent_run_id}"


def _sse(run: AgentRun, modes: frozenset[str], text: str) -> Response:
    query = urlencode({"stream_mode": sorted(modes)}, doseq=True)
    headers = {
        "cache-control": "no-store",
        "content-location": _path(run),
        "location": f"/resume{_path(run)}/stream?{query}",
    }
    # What a model has said may hold half a surrogate pair.
    return Response(text.encode(errors="replace"), media_type="text/event-stream", headers=headers)
