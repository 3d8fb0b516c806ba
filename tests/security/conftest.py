"""The deployed stack, and an account with something to protect."""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import pytest

from functions.api.command_types import COMMANDS
from tests.e2e.conftest import RunningStack, hook_port, mcp_port, stack
from tests.e2e.following import eventually
from tests.security.counting import CELLS, line
from tests.security.credentials import Secrets, headers_of
from tests.security.fields import CROSSED
from tests.security.routes import Property, property_of, routes

# Fixtures of the end-to-end tests, here too.
__all__ = ["hook_port", "mcp_port", "stack"]


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    """What must stand in no log: filled by whoever makes a credential or says something."""
    return Secrets()


@pytest.fixture(scope="session")
async def owned(stack: RunningStack, secrets: Secrets) -> Property:
    """Of each kind of thing one, of one account."""
    return await property_of(stack, secrets)


@pytest.fixture(scope="session")
async def http(stack: RunningStack) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without any credential."""
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=40) as client:
        yield client


@pytest.fixture(scope="module")
async def nothing_changes(http: httpx.AsyncClient, owned: Property) -> AsyncGenerator[None]:
    """Whatever a module's tests ask for, the owner's things are as they were."""
    before = await owned.snapshot(http)
    yield
    assert await owned.snapshot(http) == before


@pytest.fixture(scope="session")
async def revoked(stack: RunningStack, owned: Property, secrets: Secrets) -> str:
    """An API key of the owner that is no longer good, and is known to be so everywhere."""
    async with httpx.AsyncClient(base_url=stack.base_url, headers=owned.headers, timeout=30) as http:
        key = (await http.post("/api-keys", json={"name": "revoked"})).json()
        assert (await http.delete(f"/api-keys/{key['key_id']}")).status_code == 204
        secrets.add(key["secret"])

        async def status() -> int:
            answer = await http.get("/threads/count", headers={"authorization": "", "x-api-key": key["secret"]})
            return answer.status_code

        await eventually(status, lambda answer: answer == 401)
    return key["secret"]


@pytest.fixture(scope="session")
def claiming(stack: RunningStack, owned: Property, revoked: str, secrets: Secrets) -> Callable[[str], dict[str, str]]:
    """What a client sends that claims to be the owner, by the kind of its credential."""
    return lambda kind: (
        {"x-api-key": revoked} if kind == "revoked key" else headers_of(kind, stack, owned.account_id, secrets)
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at all that the others left behind comes last."""
    items.sort(key=lambda item: "test_logs" in item.nodeid)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How much of what there is was tried, with everybody: one line of JSON before the last line."""
    passed = [
        (kind, *tried)
        for report in terminalreporter.stats.get("passed", [])
        for kind, tried in report.user_properties
        if kind in CELLS
    ]
    there = {kind: [str(route) for route in routes() if route.kind == kind] for kind in ("routes", "not_built")}
    if passed:
        terminalreporter.write_line(json.dumps(line(passed, there | {"commands": COMMANDS, "fields": CROSSED})))
