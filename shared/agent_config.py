"""What an assistant is made of, and what a run may override (Suna's agent config)."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ToolExecutionStrategy = Literal["sequential", "parallel"]
XmlAddingStrategy = Literal["assistant_message", "user_message"]


def _no_address(model: str) -> str:
    # Some of litellm's providers take an address for a model's name, and would call it.
    if "://" in model:
        raise ValueError("a model is named by provider and name, not by an address")
    return model


ModelName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_no_address)]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Part(BaseModel):
    # A misspelt setting is an error: it would otherwise silently not be set.
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProcessorConfig(_Part):
    """How a model's answer is processed; names and defaults are Suna's.

    ``max_xml_tool_calls``: 0 means no limit. Suna's ``xml_adding_strategy="inline_edit"`` is refused.
    """

    xml_tool_calling: bool = True
    native_tool_calling: bool = False
    execute_tools: bool = True
    execute_on_stream: bool = False
    tool_execution_strategy: ToolExecutionStrategy = "sequential"
    xml_adding_strategy: XmlAddingStrategy = "assistant_message"
    max_xml_tool_calls: int = Field(default=0, ge=0, le=100)


class Limits(_Part):
    """Where a run ends at the latest, and what its parts may take (seconds)."""

    max_turns: int = Field(default=100, ge=1, le=1000)
    max_auto_continues: int = Field(default=25, ge=0, le=25)
    run_s: float = Field(default=3600, gt=0, le=24 * 3600)
    model_call_s: float = Field(default=600, gt=0, le=840)
    model_idle_s: float = Field(default=60, gt=0, le=300)
    tool_call_s: float = Field(default=120, gt=0, le=600)


class McpServer(_Part):
    """A remote MCP server; its tools are named ``<name>__<tool>``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,24}$")]
    url: Annotated[str, Field(pattern=r"^https?://", max_length=2000)]
    headers: dict[str, str] = Field(default_factory=dict[str, str])


class AgentConfig(_Part):
    """An assistant's configuration.

    ``model`` absent: the stack's default. ``fallback_models`` are tried in order when ``model`` does not answer.
    ``provider_key``: the name of a key in the stack's provider secret to use in place of the provider's usual one.
    """

    model: ModelName | None = None
    fallback_models: list[ModelName] = Field(default_factory=list[str], max_length=5)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=200_000)] | None = None
    system_prompt: str | None = Field(default=None, max_length=200_000)
    tools: list[ToolName] = Field(default_factory=list[str], max_length=128)
    mcp_servers: list[McpServer] = Field(default_factory=list[McpServer], max_length=8)
    processor: ProcessorConfig = Field(default_factory=ProcessorConfig)
    limits: Limits = Field(default_factory=Limits)
    enable_context_manager: bool = True
    provider_key: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")] | None = None

    def overridden(self, changes: dict[str, Any]) -> "AgentConfig":
        """This configuration with ``changes``: whole fields, but ``processor`` and ``limits`` field by field.

        Raises:
            pydantic.ValidationError: a field does not exist or has a wrong value.
        """
        # What nobody has set stays unset, and follows the defaults of later versions.
        merged = self.model_dump(exclude_unset=True)
        for name, value in changes.items():
            nested = isinstance(value, dict) and name in {"processor", "limits"}
            merged[name] = {**merged.get(name, {}), **value} if nested else value
        return AgentConfig.model_validate(merged)


# The assistant that every account has, under this name.
DEFAULT_ASSISTANT_ID = "agent"
DEFAULT_AGENT = AgentConfig(
    tools=["ask", "expand_message", "http_fetch"],
    processor=ProcessorConfig(
        xml_tool_calling=False,
        native_tool_calling=True,
        execute_on_stream=True,
        tool_execution_strategy="parallel",
    ),
)


class RunOptions(_Part):
    """How a run is executed, beside what its agent is.

    ``queue_time_s``, ``step_time_s``: seconds that the queue's runner, and each step of the workflow, may work on the
    run before it is handed on (default: as long as the function lasts; 0 for the queue: to the workflow at once).
    """

    queue_time_s: Annotated[float, Field(ge=0, le=900)] | None = None
    step_time_s: Annotated[float, Field(ge=1, le=900)] | None = None


class RunConfig(_Part):
    """What a run is recorded with: its agent, resolved and frozen, its options, and the answers it brings.

    ``resume``: call id -> whether the call that awaits approval is approved.
    """

    agent: AgentConfig = DEFAULT_AGENT
    options: RunOptions = Field(default_factory=RunOptions)
    resume: dict[str, bool] = Field(default_factory=dict[str, bool])
