"""Agent Protocol's routes of agents: views of the assistants, among them the one that everybody has."""

from functools import cache
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from functions.api.body import Body, Fields
from functions.api.http.assistants import DEFAULT_ASSISTANT, WireAssistant, get_assistant
from functions.api.http.identity import Caller
from functions.api.wire import RunInput
from shared.agent_config import AgentConfig, RunOptions
from shared.database import assistants, connection
from shared.domain import Json

router = APIRouter(prefix="/agents", tags=["agents"])

_CAPABILITIES = {"ap.io.messages": True, "ap.io.streaming": True}


class AgentSearch(Body):
    """Body of ``POST /agents/search``."""

    name: str | None = None
    metadata: Fields | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, lt=2**63)


class WireAgent(BaseModel):
    """An agent. ``capabilities``: what of the protocol it supports."""

    agent_id: str
    name: str
    description: str
    metadata: dict[str, Any]
    capabilities: dict[str, Any]

    @classmethod
    def of(cls, assistant: WireAssistant) -> "WireAgent":
        """``assistant`` as an agent."""
        return cls(
            agent_id=str(assistant.assistant_id),
            name=assistant.name,
            description=assistant.description or "",
            metadata=assistant.metadata,
            capabilities=_CAPABILITIES,
        )


class WireAgentSchemas(BaseModel):
    """JSON Schemas of what an agent takes and gives; every agent's are the same."""

    agent_id: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    state_schema: dict[str, Any]
    config_schema: dict[str, Any]


class _Message(BaseModel):
    """A message as LangChain writes it, with what else one of its kind has."""

    model_config = ConfigDict(extra="allow")

    type: str
    content: str | list[dict[str, Any]]
    id: str


class _Values(BaseModel):
    """A thread's values: its messages."""

    messages: list[_Message]


class _Configurable(AgentConfig, RunOptions):
    """What a run may override of its agent, and how it is executed."""


@router.post("/search")
async def search_agents(caller: Caller, body: AgentSearch | None = None) -> list[WireAgent]:
    """The agent that everybody has, and your own, newest first.

    Fewer than ``limit`` where they are large: go on at ``offset`` plus their number until there are none.
    """
    wanted = body or AgentSearch()
    shown = [DEFAULT_ASSISTANT] if _finds_default(wanted) else []
    offset = max(0, wanted.offset - len(shown))
    shown = shown[wanted.offset :]
    async with connection() as taken:
        found = await assistants.search(
            taken,
            account_id=caller.account_id,
            metadata=wanted.metadata or {},
            name=wanted.name,
            limit=wanted.limit - len(shown),
            offset=offset,
        )
    return [WireAgent.of(assistant) for assistant in (*shown, *(WireAssistant.of(row) for row in found.items))]


@router.get("/{agent_id}")
async def get_agent(caller: Caller, agent_id: str) -> WireAgent:
    """One agent, ``agent`` being the one that everybody has."""
    return WireAgent.of(await get_assistant(caller, agent_id))


@router.get("/{agent_id}/schemas")
async def get_agent_schemas(caller: Caller, agent_id: str) -> WireAgentSchemas:
    """What an agent takes and gives."""
    agent = await get_agent(caller, agent_id)
    return WireAgentSchemas(agent_id=agent.agent_id, **_schemas())


@cache
def _schemas() -> Json:
    state = _Values.model_json_schema()
    return {
        "input_schema": RunInput.model_json_schema(),
        "output_schema": state,
        "state_schema": state,
        "config_schema": _Configurable.model_json_schema(),
    }


def _finds_default(wanted: AgentSearch) -> bool:
    named = (wanted.name or "").lower() in DEFAULT_ASSISTANT.name.lower()
    return named and (wanted.metadata or {}).items() <= DEFAULT_ASSISTANT.metadata.items()
