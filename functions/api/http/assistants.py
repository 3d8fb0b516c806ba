"""Routes of assistants: what Suna calls an agent's configuration, in versions."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from functions.api import assistants as agents
from functions.api.body import Body, Fields, Metadata, Words
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.http.pages import announced
from functions.api.wire_state import selected
from shared.agent_config import DEFAULT_AGENT, DEFAULT_ASSISTANT_ID, MASKED, AgentConfig
from shared.database import assistants, connection, threads, transaction
from shared.database.assistants import Assistant
from shared.database.pages import Page
from shared.errors import ConflictError, NotFoundError, NotSupportedError

router = APIRouter(prefix="/assistants", tags=["assistants"])

# The one graph there is: the agent loop.
GRAPH_ID = "agent"


class Config(Body):
    """``configurable``: the fields of :class:`shared.agent_config.AgentConfig`."""

    configurable: Fields = Field(default_factory=dict[str, Any])


class AssistantCreate(Body):
    """Body of ``POST /assistants``."""

    graph_id: str | None = None
    assistant_id: UUID | None = None
    config: Config | None = None
    metadata: Metadata | None = None
    context: Any = None
    if_exists: Literal["raise", "do_nothing"] | None = None
    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=5000)


class AssistantPatch(Body):
    """Body of ``PATCH /assistants/{assistant_id}``: makes a new version; what is absent stays."""

    graph_id: str | None = None
    config: Config | None = None
    metadata: Metadata | None = None
    context: Any = None
    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=5000)


class AssistantSearch(Body):
    """Body of ``POST /assistants/search`` and ``/count``."""

    metadata: Metadata | None = None
    graph_id: str | None = None
    name: str | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, lt=2**63)
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: Words | None = None


class VersionsSearch(Body):
    """Body of ``POST /assistants/{assistant_id}/versions``."""

    metadata: Metadata | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, lt=2**63)


class Latest(Body):
    """Body of ``POST /assistants/{assistant_id}/latest``."""

    version: int = Field(ge=1, lt=2**31)


class WireAssistant(BaseModel):
    """An assistant."""

    assistant_id: UUID
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any] = Field(default_factory=dict[str, Any])
    metadata: dict[str, Any]
    version: int
    name: str
    description: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, assistant: Assistant) -> "WireAssistant":
        """``assistant`` on the wire."""
        return cls(
            assistant_id=assistant.assistant_id,
            graph_id=GRAPH_ID,
            config={"configurable": _shown(assistant.config)},
            metadata=assistant.metadata,
            version=assistant.version,
            name=assistant.name,
            description=assistant.description,
            created_at=assistant.created_at,
            updated_at=assistant.updated_at,
        )


def _shown(config: AgentConfig) -> dict[str, Any]:
    """What of a configuration is shown: headers of MCP servers hold credentials, so only their names are."""
    shown = config.model_dump(mode="json", exclude_unset=True)
    for server in shown.get("mcp_servers", []):
        server["headers"] = dict.fromkeys(server.get("headers", {}), MASKED)
    return shown


DEFAULT_ASSISTANT = WireAssistant(
    assistant_id=agents.DEFAULT_ASSISTANT_UUID,
    graph_id=GRAPH_ID,
    config={"configurable": _shown(DEFAULT_AGENT)},
    metadata={"created_by": "system"},
    version=1,
    name=DEFAULT_ASSISTANT_ID,
    description="The assistant that every account has",
    created_at=datetime.fromisoformat("2026-11-01T00:00:00+00:00"),
    updated_at=datetime.fromisoformat("2026-11-01T00:00:00+00:00"),
)


def _id(assistant_id: str) -> UUID:
    if agents.is_default(assistant_id):
        raise ConflictError("the default assistant cannot be changed: create one of your own")
    try:
        return UUID(assistant_id)
    except ValueError as error:
        raise NotFoundError(f"assistant {assistant_id!r} not found") from error


def _check(body: AssistantCreate | AssistantPatch) -> None:
    if body.graph_id not in {None, GRAPH_ID}:
        raise NotFoundError(f"graph_id: there is no graph {body.graph_id!r}, only {GRAPH_ID!r}")
    if body.context:
        raise NotSupportedError("'context' is not supported: use config.configurable")


@router.post("")
async def create_assistant(caller: Caller, body: AssistantCreate, idempotency: Idempotency) -> WireAssistant:
    """Create an assistant from the fields of ``config.configurable``."""
    _check(body)
    config = agents.parse(body.config.configurable if body.config else {})
    await agents.admit(config, account_id=caller.account_id)
    assistant_id = uuid4() if body.assistant_id is None else _id(str(body.assistant_id))
    once = idempotency(WireAssistant.of)
    async with transaction() as taken:
        if once is not None:
            await once.begin(taken)
        await threads.ensure_account(taken, account_id=caller.account_id)
        created = await assistants.create(
            taken,
            assistant_id=assistant_id,
            account_id=caller.account_id,
            name=body.name or "Untitled",
            description=body.description,
            config=config,
            metadata=body.metadata or {},
        )
        if not created and body.if_exists != "do_nothing":
            raise ConflictError(
                f"assistant {str(assistant_id)!r} already exists; pass if_exists='do_nothing' to use it"
            )
        assistant = await assistants.get(taken, assistant_id=assistant_id, account_id=caller.account_id)
        if once is not None:
            await once.keep(taken, assistant)
    return WireAssistant.of(assistant)


@router.post("/search", response_model=list[WireAssistant])
async def search_assistants(caller: Caller, response: Response, body: AssistantSearch | None = None) -> Any:
    """Your assistants, newest first; the header ``x-pagination-next`` is the next page's offset, if there is one.

    A page has fewer than ``limit`` where they are large.
    """
    wanted = body or AssistantSearch()
    found: Page[Assistant] = Page([], end=wanted.offset, is_last=True)
    if wanted.graph_id in {None, GRAPH_ID}:
        # All are of one graph: by it, they are in the order of their making.
        sort_by = "created_at" if wanted.sort_by in {None, "graph_id"} else wanted.sort_by
        async with connection() as taken:
            found = await assistants.search(
                taken,
                account_id=caller.account_id,
                metadata=wanted.metadata or {},
                name=wanted.name,
                limit=wanted.limit,
                offset=wanted.offset,
                sort_by=cast("assistants.SortBy", sort_by),
                descending=wanted.sort_order != "asc",
            )
    shown = [WireAssistant.of(assistant) for assistant in announced(found, response)]
    if not wanted.select:
        return shown
    return JSONResponse([selected(assistant, wanted.select) for assistant in shown], headers=dict(response.headers))


@router.post("/count")
async def count_assistants(caller: Caller, body: AssistantSearch | None = None) -> int:
    """How many assistants a search without limit would find."""
    wanted = body or AssistantSearch()
    if wanted.graph_id not in {None, GRAPH_ID}:
        return 0
    async with connection() as taken:
        return await assistants.count(
            taken, account_id=caller.account_id, metadata=wanted.metadata or {}, name=wanted.name
        )


@router.get("/{assistant_id}")
async def get_assistant(
    caller: Caller, assistant_id: str, version: Annotated[int | None, Query(ge=1, lt=2**31)] = None
) -> WireAssistant:
    """One assistant, ``agent`` being the one that everybody has."""
    if agents.is_default(assistant_id):
        return DEFAULT_ASSISTANT
    async with connection() as taken:
        return WireAssistant.of(
            await assistants.get(taken, assistant_id=_id(assistant_id), account_id=caller.account_id, version=version)
        )


@router.patch("/{assistant_id}")
async def update_assistant(caller: Caller, assistant_id: str, body: AssistantPatch) -> WireAssistant:
    """Make a new version, which runs get from now on. What is absent stays, and so does what is sent back masked."""
    _check(body)
    wanted = body.config.configurable if body.config is not None else {}
    if wanted:
        async with connection() as taken:
            present = await assistants.get(taken, assistant_id=_id(assistant_id), account_id=caller.account_id)
        await agents.admit(agents.parse(wanted, base=present.config), account_id=caller.account_id)
    async with transaction() as taken:
        return WireAssistant.of(
            await assistants.add_version(
                taken,
                assistant_id=_id(assistant_id),
                account_id=caller.account_id,
                name=body.name,
                description=body.description,
                change=lambda present: agents.parse(wanted, base=present),
                metadata=body.metadata or {},
            )
        )


@router.delete("/{assistant_id}", status_code=204)
async def delete_assistant(caller: Caller, assistant_id: str) -> None:
    """Delete an assistant; runs that were started with it keep what they were started with."""
    async with connection() as taken:
        await assistants.delete(taken, assistant_id=_id(assistant_id), account_id=caller.account_id)


@router.post("/{assistant_id}/versions")
async def list_assistant_versions(
    caller: Caller, assistant_id: str, body: VersionsSearch | None = None
) -> list[WireAssistant]:
    """All versions, newest first.

    Fewer than ``limit`` where they are large: go on at ``offset`` plus their number until there are none.
    """
    wanted = body or VersionsSearch()
    async with connection() as taken:
        await assistants.get(taken, assistant_id=_id(assistant_id), account_id=caller.account_id)
        found = await assistants.versions(
            taken,
            assistant_id=_id(assistant_id),
            account_id=caller.account_id,
            metadata=wanted.metadata or {},
            limit=wanted.limit,
            offset=wanted.offset,
        )
    return [WireAssistant.of(assistant) for assistant in found.items]


@router.post("/{assistant_id}/latest")
async def set_latest_assistant_version(caller: Caller, assistant_id: str, body: Latest) -> WireAssistant:
    """Have runs get an earlier version from now on."""
    async with transaction() as taken:
        return WireAssistant.of(
            await assistants.set_version(
                taken, assistant_id=_id(assistant_id), account_id=caller.account_id, version=body.version
            )
        )
