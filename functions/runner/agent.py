"""The agent of one run: its configuration, its tools, its prompt."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from functions.runner.outcome import Outcome
from functions.runner.tools.builtin.mcp import McpServer, McpTools
from functions.runner.tools.catalog import catalog
from functions.runner.tools.registry import ToolRegistry
from shared.agent_config import AgentConfig, RunConfig, RunOptions
from shared.context.counting import count_tools
from shared.database.tool_executions import ToolExecution
from shared.domain import Claim, Json
from shared.settings import model_settings
from shared.telemetry import logger


@dataclass(kw_only=True)
class Agent:
    """What a run works with.

    ``resume``: call id -> whether its call, which awaited approval, is approved. ``problems``: MCP server -> why its
    tools are not there.
    """

    config: AgentConfig
    options: RunOptions
    resume: dict[str, bool]
    registry: ToolRegistry
    problems: dict[str, str] = field(default_factory=dict[str, str])
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        """Keep what its tools have open until it is left."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what its tools have open."""
        await self._opened.aclose()

    @classmethod
    async def of(cls, claim: Claim) -> Self:
        """The agent that the run was recorded with.

        Raises:
            UnknownToolError: a tool it names does not exist (any more), or its file cannot be used.
            DuplicateToolError: two of its tools have functions of one name.
        """
        run = RunConfig.model_validate(claim.config)
        registry = ToolRegistry()
        tools = catalog()
        for name in run.agent.tools:
            registry.register(tools.get(name)())
        agent = cls(config=run.agent, options=run.options, resume=run.resume, registry=registry)
        if run.agent.mcp_servers:
            await agent._open_mcp()
        return agent

    async def _open_mcp(self) -> None:
        """Add the tools of the remote servers; one that cannot be used is left out, and told."""
        servers = [
            McpServer(
                name=server.name, url=server.url, headers=server.headers, needs_approval=tuple(server.needs_approval)
            )
            for server in self.config.mcp_servers
        ]
        mcp = await self._opened.enter_async_context(
            McpTools(servers, allowed_private=model_settings().private_mcp_servers)
        )
        for function in await mcp.functions():
            self.registry.register(function)
        self.problems = dict(mcp.problems)
        if self.problems:
            logger.warning("MCP servers cannot be used", extra={"servers": sorted(self.problems)})

    def schema_of(self, name: str) -> Json | None:
        """The JSON Schema of a tool's parameters."""
        function = self.registry.get(name)
        return None if function is None else function.parameters

    @property
    def native_schemas(self) -> list[Json]:
        """The tools that the model is offered by its provider's own interface."""
        return self.registry.openai_schemas() if self.config.processor.native_tool_calling else []

    @property
    def system_prompt(self) -> str | None:
        """The assistant's prompt, and how to call tools in XML if that is how they are called."""
        parts = [self.config.system_prompt]
        if self.config.processor.xml_tool_calling and self.registry.names():
            parts.append(self.registry.xml_instructions())
        return "\n\n".join(part for part in parts if part) or None

    def tool_tokens(self, model: str) -> int:
        """What the offered tools cost in every call of ``model``."""
        return count_tools(self.native_schemas, model=model, system=self.system_prompt is not None)

    def outcome_of_calls(self, calls: Sequence[ToolExecution]) -> Outcome | None:
        """How the run ends with these calls, all answered with success; ``None`` if it goes on."""
        for call in calls:
            function = self.registry.get(call.name)
            if function is not None and function.ends_run is not None:
                question = {"type": "question", "tool": call.name, "arguments": call.arguments}
                asked = function.ends_run == "needs_input"
                return Outcome(function.ends_run, interrupts=[(call.call_id, question)] if asked else [])
        return None
