"""What tests of tools with real servers share."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from functions.runner.tools import ToolContext
from tests.integration.tools.http_server import HttpServer, http_server


@pytest.fixture
def context() -> ToolContext:
    """For whom a call is made."""
    return ToolContext(call_id="call-1", agent_run_id=uuid4(), thread_id=uuid4(), account_id="account")


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    """A server that the tool may reach."""
    async with http_server() as served:
        yield served


@pytest.fixture
async def hidden() -> AsyncIterator[HttpServer]:
    """A server that the tool must not reach: its ``requests`` have to stay empty."""
    async with http_server() as served:
        served.routes["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"
        yield served
        assert served.requests == []
