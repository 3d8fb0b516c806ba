"""Suna's own routes, over the same services."""

from mimetypes import guess_type
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, File, Form, Header, Query, Response, UploadFile
from pydantic import AfterValidator

from functions.api import stops
from functions.api.body import storable
from functions.api.files import store
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.http.run_streams import SSE, StreamQuery, join_stream
from functions.api.runs import start_run
from functions.api.wire import suna_status
from functions.api.wire_files import checked_name
from functions.api.wire_suna import (
    AgentInitiated,
    AgentStart,
    AgentStarted,
    AgentStopped,
    SunaRun,
    SunaRuns,
)
from shared.database import connection, runs, threads
from shared.database.files import File as ThreadFile
from shared.domain import AgentRun
from shared.errors import InvalidRequestError

router = APIRouter(prefix="/api", tags=["suna"])

_UNSAID = {"", "application/octet-stream"}


@router.post("/agent/initiate")
async def initiate_agent(
    caller: Caller,
    prompt: Annotated[str, AfterValidator(storable), Form(min_length=1)],
    asked: Annotated[AgentStart, Form()],
    idempotency: Idempotency,
    files: Annotated[list[UploadFile] | None, File(max_length=64)] = None,
) -> AgentInitiated:
    """Create a thread with ``prompt`` and the files, and start a run on it. Larger files: ``/threads/{id}/files``."""
    thread_id = uuid4()
    new = [await _uploaded(file, thread_id=thread_id, account_id=caller.account_id) for file in files or []]
    stored = await store(new) if new else []
    run = await start_run(
        account_id=caller.account_id,
        thread_id=thread_id,
        body=asked.run(prompt, files=[file.file_id for file in stored], create_thread=True),
        once=idempotency(_initiated),
        at_hand=[(file, content) for file, (_, content) in zip(stored, new, strict=True)],
    )
    return _initiated(run)


async def _uploaded(upload: UploadFile, *, thread_id: UUID, account_id: str) -> tuple[ThreadFile, bytes]:
    """A part of the form as a file. Some clients call every file an octet stream: then its name says what it is."""
    content = await upload.read()
    said = (upload.content_type or "").partition(";")[0].strip().lower()
    guessed = guess_type(upload.filename or "")[0]
    try:
        name = checked_name(upload.filename or "")
    except ValueError as error:
        raise InvalidRequestError(f"files: {error}") from error
    content_type = guessed or said if said in _UNSAID else said
    file = ThreadFile(
        thread_id=thread_id, account_id=account_id, name=name, content_type=content_type, size=len(content)
    )
    return file, content


def _initiated(run: AgentRun) -> AgentInitiated:
    return AgentInitiated(thread_id=run.thread_id, agent_run_id=run.agent_run_id)


@router.post("/thread/{thread_id}/agent/start")
async def start_agent(
    caller: Caller, thread_id: UUID, idempotency: Idempotency, body: AgentStart | None = None
) -> AgentStarted:
    """Start a run on the messages that the thread has."""
    run = await start_run(
        account_id=caller.account_id,
        thread_id=thread_id,
        body=(body or AgentStart()).run(),
        once=idempotency(_started),
    )
    return _started(run)


def _started(run: AgentRun) -> AgentStarted:
    return AgentStarted(agent_run_id=run.agent_run_id, status=suna_status(run.status))


@router.post("/agent-run/{agent_run_id}/stop")
async def stop_agent_run(caller: Caller, agent_run_id: UUID) -> AgentStopped:
    """Stop a run; one that has ended stays as it is."""
    found = await _run(caller.account_id, agent_run_id)
    run = await stops.cancel(
        account_id=caller.account_id, thread_id=found.thread_id, agent_run_id=agent_run_id, action="interrupt"
    )
    return AgentStopped(status=suna_status(run.status))


@router.get("/agent-run/{agent_run_id}")
async def get_agent_run(caller: Caller, agent_run_id: UUID) -> SunaRun:
    """One run."""
    return SunaRun.of(await _run(caller.account_id, agent_run_id))


@router.get("/agent-run/{agent_run_id}/stream", response_class=Response, responses=SSE)
async def stream_agent_run(
    caller: Caller,
    agent_run_id: UUID,
    query: Annotated[StreamQuery, Query()],
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The run's stream, as ``/threads/{thread_id}/runs/{run_id}/stream`` has it."""
    run = await _run(caller.account_id, agent_run_id)
    return await join_stream(caller, run.thread_id, agent_run_id, query, last_event_id)


@router.get("/thread/{thread_id}/agent-runs")
async def list_agent_runs(
    caller: Caller,
    thread_id: UUID,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> SunaRuns:
    """The thread's runs, newest first.

    Fewer than ``limit`` where they are large: go on at ``offset`` plus their number until there are none.
    """
    async with connection() as taken:
        await threads.get(taken, thread_id=thread_id, account_id=caller.account_id)
        page = await runs.page(
            taken, thread_id=thread_id, account_id=caller.account_id, statuses=None, limit=limit, offset=offset
        )
    return SunaRuns(agent_runs=[SunaRun.of(run) for run in page])


async def _run(account_id: str, agent_run_id: UUID) -> AgentRun:
    async with connection() as taken:
        return await runs.get(taken, agent_run_id=agent_run_id, account_id=account_id)
