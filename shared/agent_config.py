"""What an assistant is made of, and what a run may override (Suna's agent config)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.model_names import is_model_name

ToolExecutionStrategy = Literal["sequential", "parallel"]
XmlAddingStrategy = Literal["assistant_message", "user_message"]


def _is_name(model: str) -> str:
    # Some of litellm's providers take an address for a model's name, and would call it; some put it into one.
    if not is_model_name(model):
        raise ValueError("a model is named as provider/name, of letters, digits and ._:@+~- between slashes")
    return model


def _host_is_named(url: str) -> str:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("it is no address: write it as https://host/path, in ASCII")
    return url


def _said(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if value == MASKED:
            raise ValueError(f"{name}: {MASKED!r} stands for a value that is not shown: send the value")
    return headers


def _each_once(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is named more than once")


def _tools_once(tools: list[str]) -> list[str]:
    _each_once(tools)
    return tools


def _servers_once(servers: "list[McpServer]") -> "list[McpServer]":
    _each_once([server.name for server in servers])
    return servers


MASKED = "***"
"""What a credential is shown as; sent back it stands for what is there."""

ModelName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_name)]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ToolPattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./*?-]{1,128}$")]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$", max_length=8192)]


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
    """A remote MCP server; its tools are named ``<name>__<tool>``.

    ``needs_approval``: patterns of its tools' names, as it lists them, whose calls a person has to approve; ``*``
    stands for anything, ``?`` for one character, case does not count. ``["*"]``: every tool.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,24}$")]
    url: Annotated[str, Field(pattern=r"^https?://", max_length=2000), AfterValidator(_host_is_named)]
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=50), AfterValidator(_said)] = Field(
        default_factory=dict[str, str]
    )
    needs_approval: Annotated[list[ToolPattern], Field(max_length=64)] = Field(default_factory=list[str])


class AgentConfig(_Part):
    """An assistant's configuration.

    ``model`` absent: the stack's default. ``fallback_models`` are tried in order when ``model`` does not answer.
    ``provider_key``: the name of a key in the stack's provider secret to use in place of the provider's usual one; it
    begins with the provider's name, and goes to nobody else. The account's plan has to list it (``provider_keys``).
    """

    model: ModelName | None = None
    fallback_models: list[ModelName] = Field(default_factory=list[str], max_length=5)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=200_000)] | None = None
    system_prompt: str | None = Field(default=None, max_length=200_000)
    tools: Annotated[list[ToolName], AfterValidator(_tools_once)] = Field(default_factory=list[str], max_length=128)
    mcp_servers: Annotated[list[McpServer], AfterValidator(_servers_once)] = Field(
        default_factory=list[McpServer], max_length=8
    )
    processor: ProcessorConfig = Field(default_factory=ProcessorConfig)
    limits: Limits = Field(default_factory=Limits)
    enable_context_manager: bool = True
    provider_key: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")] | None = None

    def overridden(self, changes: dict[str, Any]) -> "AgentConfig":
        """This configuration with ``changes``: whole fields, but ``processor`` and ``limits`` field by field.

        A header of an MCP server that is masked stays as it is, if the server's name and address do.

        Raises:
            pydantic.ValidationError: a field does not exist or has a wrong value.
        """
        # What nobody has set stays unset, and follows the defaults of later versions.
        merged = self.model_dump(exclude_unset=True)
        for name, value in changes.items():
            nested = isinstance(value, dict) and name in {"processor", "limits"}
            merged[name] = {**merged.get(name, {}), **value} if nested else value
        if "mcp_servers" in changes:
            merged["mcp_servers"] = self._unmasked(changes["mcp_servers"])
        return AgentConfig.model_validate(merged)

    def _unmasked(self, servers: Any) -> Any:
        """``servers``, as a client sends them, with what is masked of those that are here."""
        if not isinstance(servers, list):
            return servers
        # Not at another address: it would be given away to whoever is there.
        present = {(server.name, server.url): server.headers for server in self.mcp_servers}
        return [_unmasked(server, present) for server in cast("list[Any]", servers)]


def _unmasked(server: Any, present: Mapping[tuple[str, str], Mapping[str, str]]) -> Any:
    said = cast("dict[str, Any]", server) if isinstance(server, dict) else {}
    headers: Any = said.get("headers")
    if not isinstance(headers, dict):
        return cast("Any", server)
    known = present.get((str(said.get("name")), str(said.get("url"))), {})
    shown = {
        name: known.get(name, value) if value == MASKED else value
        for name, value in cast("dict[str, Any]", headers).items()
    }
    return {**said, "headers": shown}


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
