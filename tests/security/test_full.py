"""An account that holds all that its plan allows: no route makes it hold more.

Which routes create something is found out, by an account that has room: one that is added is bounded, or fails here.
"""

import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import pytest

from tests.e2e.conftest import RunningStack, give_plan
from tests.e2e.following import eventually
from tests.security.credentials import Secrets
from tests.security.routes import COMMAND_PARAMS, Property, Route, property_of, routes
from tests.traces import tables_of_accounts

FULL = {
    "max_threads": 1,
    "max_assistants": 1,
    "max_assistant_versions": 1,
    "max_api_keys": 1,
    "max_thread_files": 1,
    "max_files": 1,
    "max_thread_messages": 1,
    # Its runs have used this up.
    "max_day_tokens": 1,
}
# Where the smallest body that the description allows is none.
BODIES: dict[str, dict[str, Any]] = {"/runs/cancel": {"status": "all"}}
WRITING = [
    replace(route, body=BODIES.get(route.path, route.body))
    for route in routes()
    if route.method in {"POST", "PUT", "PATCH"}
]
# At least these; what else creates something is found.
CREATING = {
    "POST /threads",
    "POST /assistants",
    "PATCH /assistants/{assistant_id}",
    "POST /api-keys",
    "POST /threads/{thread_id}/files",
    "POST /threads/{thread_id}/messages",
    "POST /threads/{thread_id}/runs",
    "POST /api/agent/initiate",
}


class Account:
    """Its things, and how many of each the database has."""

    def __init__(self, owned: Property, database: asyncpg.Connection, tables: set[str]) -> None:
        self.owned = owned
        self._database = database
        self._tables = tables

    async def held(self) -> dict[str, int]:
        """Rows of the account by table."""
        found = {
            table: await self._database.fetchval(
                f"SELECT count(*) FROM {table} WHERE account_id = $1",  # noqa: S608 - a table's name
                self.owned.account_id,
            )
            for table in self._tables
        }
        found["assistant_versions"] = await self._database.fetchval(
            "SELECT count(*) FROM assistant_versions JOIN assistants USING (assistant_id) WHERE account_id = $1",
            self.owned.account_id,
        )
        return found

    async def _unfinished(self) -> int:
        """Runs that still write by themselves."""
        return await self._database.fetchval(
            "SELECT count(*) FROM agent_runs WHERE account_id = $1 AND status IN ('queued', 'running')",
            self.owned.account_id,
        )

    async def ask(self, http: httpx.AsyncClient, request: dict[str, Any]) -> tuple[httpx.Response, set[str]]:
        """The answer, and the tables that have more rows after it."""
        await eventually(self._unfinished, lambda runs: runs == 0)
        before = await self.held()
        answer = await http.request(**request, headers=self.owned.headers)
        after = await self.held()
        return answer, {table for table, count in after.items() if count > before[table]}


@pytest.fixture(scope="module")
async def database(stack: RunningStack) -> AsyncGenerator[asyncpg.Connection]:
    """The stack's database."""
    connection = await asyncpg.connect(stack.fields["database_url"])
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def roomy(stack: RunningStack, secrets: Secrets, database: asyncpg.Connection) -> Account:
    """An account with room for everything."""
    return Account(await property_of(stack, secrets), database, await tables_of_accounts(database))


@pytest.fixture(scope="module")
async def full(stack: RunningStack, secrets: Secrets, database: asyncpg.Connection) -> Account:
    """One without."""
    owned = await property_of(stack, secrets)
    await give_plan(stack, owned.account_id, requests_per_minute=1_000_000, request_burst=1_000_000, **FULL)
    await database.execute(
        "INSERT INTO account_usage AS u VALUES ($1, (clock_timestamp() AT TIME ZONE 'UTC')::date, 10, 0)"
        " ON CONFLICT (account_id, day, stripe) DO UPDATE SET tokens = u.tokens + 10",
        owned.account_id,
    )
    return Account(owned, database, await tables_of_accounts(database))


async def _is_bounded(http: httpx.AsyncClient, roomy: Account, full: Account, route: Route) -> bool:
    """Whether the route creates something where there is room, and nothing where there is none."""
    answer, more = await roomy.ask(http, route.request(roomy.owned.values))
    # A request that is not valid would show nothing.
    assert answer.status_code not in {400, 404, 422}, answer.text
    refused, added = await full.ask(http, route.request(full.owned.values))
    assert added == set(), (refused.status_code, refused.text)
    if more:
        assert refused.status_code in {409, 429}, (more, refused.text)
        assert "plan" in refused.json()["message"] or "day" in refused.json()["message"]
    return bool(more)


@pytest.mark.parametrize("route", WRITING, ids=str)
async def test_no_route_makes_a_full_account_hold_more(
    http: httpx.AsyncClient, roomy: Account, full: Account, route: Route
) -> None:
    created = await _is_bounded(http, roomy, full, route)
    assert created or str(route) not in CREATING


@pytest.mark.parametrize("method", sorted(COMMAND_PARAMS))
async def test_no_command_does(http: httpx.AsyncClient, roomy: Account, full: Account, method: str) -> None:
    for account, wanted in ((roomy, method == "run.start"), (full, False)):
        params = {
            name: value.format(**account.owned.values) if isinstance(value, str) else value
            for name, value in COMMAND_PARAMS[method].items()
        }
        path = f"/threads/{account.owned.values['thread_id']}/commands"
        body = {"id": 1, "method": method, "params": params}
        answer, more = await account.ask(http, {"method": "POST", "url": path, "json": body})
        assert bool(more) == wanted, (answer.text, more)


async def test_what_a_full_account_is_told_names_the_limit_and_the_plan(http: httpx.AsyncClient, full: Account) -> None:
    answer = await http.post("/threads", json={"thread_id": str(uuid.uuid4())}, headers=full.owned.headers)
    assert answer.status_code == 409, answer.text
    detail = answer.json()["detail"]
    assert (detail["limit"], detail["max_threads"]) == ("max_threads", 1)
    assert detail["plan"] in answer.json()["message"]
