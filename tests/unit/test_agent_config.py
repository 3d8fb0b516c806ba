"""What an assistant may be made of, and what stays of it when a part is changed."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.agent_config import AgentConfig

SERVER: dict[str, Any] = {"name": "docs", "url": "https://mcp.example/x", "headers": {"authorization": "Bearer secret"}}
SHOWN = {**SERVER, "headers": {"authorization": "***"}}
CONFIG = AgentConfig.model_validate({"system_prompt": "be brief", "tools": ["ask"], "mcp_servers": [SERVER]})


def test_what_is_sent_back_masked_is_what_it_was() -> None:
    changed = CONFIG.overridden({"mcp_servers": [SHOWN], "temperature": 0.5})
    assert changed == CONFIG.model_copy(update={"temperature": 0.5})


@pytest.mark.parametrize(
    "server",
    [
        # A credential goes to nobody whom it was not given for.
        {**SHOWN, "url": "https://thief.example/x"},
        {**SHOWN, "name": "other"},
        {**SHOWN, "headers": {"x-other": "***"}},
    ],
)
def test_a_mask_that_stands_for_nothing_is_refused(server: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="stands for a value that is not shown"):
        CONFIG.overridden({"mcp_servers": [server]})


@pytest.mark.parametrize("servers", [None, "x", [None], [[]], [{"name": [], "url": {}, "headers": {"a": "***"}}], [{}]])
def test_what_is_no_server_is_refused(servers: Any) -> None:
    with pytest.raises(ValidationError):
        CONFIG.overridden({"mcp_servers": servers})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tools": ["ask", "ask"]}, "named more than once"),
        ({"mcp_servers": [SERVER, SERVER]}, "named more than once"),
        ({"mcp_servers": [{**SERVER, "headers": {"x": "é"}}]}, "pattern"),
        ({"mcp_servers": [{**SERVER, "headers": {"x": "a\r\nb: c"}}]}, "pattern"),
        ({"mcp_servers": [{**SERVER, "headers": {"x y": "a"}}]}, "pattern"),
        ({"mcp_servers": [{**SERVER, "url": "https://"}]}, "no address"),
        ({"mcp_servers": [{**SERVER, "url": "http://[::1"}]}, "no address"),
        ({"mcp_servers": [{**SERVER, "url": "https://host:99999/"}]}, "no address"),
        ({"mcp_servers": [{**SERVER, "url": "https://hôte/"}]}, "no address"),
        ({"mcp_servers": [{**SERVER, "url": "https://a b/"}]}, "no address"),
    ],
)
def test_what_would_end_every_run_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AgentConfig.model_validate(fields)


@pytest.mark.parametrize("value", ["Bearer x.y-z", "a", "a b\tc", '{"json": 1}'])
def test_what_a_header_may_say_is_taken(value: str) -> None:
    AgentConfig.model_validate({"mcp_servers": [{**SERVER, "headers": {"X-Any_1": value}}]})
