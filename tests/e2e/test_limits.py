"""The limit on an account's unfinished runs, as clients of the deployed stack meet it."""

import uuid
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack, give_plan
from tests.e2e.following import command, eventually, subscribed
from tests.e2e.threads import new_thread, start_run

LIMIT = 3
RUN: dict[str, Any] = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}


@pytest.fixture
async def database(stack: RunningStack) -> AsyncGenerator[asyncpg.Connection]:
    """The stack's database, as an operator sees it."""
    connection = await asyncpg.connect(stack.fields["database_url"])
    yield connection
    await connection.close()


@pytest.fixture
async def at_its_limit(database: asyncpg.Connection, http: httpx.AsyncClient, account_id: str) -> list[dict[str, Any]]:
    """Unfinished runs of the account, as many as it may have."""
    plan = f"test-{uuid.uuid4()}"
    await database.execute("INSERT INTO plans (plan_id, max_unfinished_runs) VALUES ($1, $2)", plan, LIMIT)
    await database.execute("INSERT INTO accounts (account_id, plan_id) VALUES ($1, $2)", account_id, plan)
    # Due in an hour: they stay unfinished for as long as the test looks.
    return [await start_run(http, await new_thread(http), "hello", after_seconds=3600) for _ in range(LIMIT)]


async def test_a_run_beyond_the_limit_is_refused_over_http_and_websocket(
    http: httpx.AsyncClient, client: Stack, at_its_limit: list[dict[str, Any]]
) -> None:
    busy = sorted(run["thread_id"] for run in at_its_limit)
    thread_id = await new_thread(http)

    refused = await http.post(f"/threads/{thread_id}/runs", json=RUN)
    assert refused.status_code == 429, refused.text
    assert refused.headers["retry-after"].isdigit()
    body = refused.json()
    assert body.keys() == {"code", "message", "detail"}
    assert body["code"] == "limit_exceeded"
    assert body["detail"] == {"running_thread_ids": busy, "running_count": LIMIT, "limit": LIMIT}

    async with subscribed(client, thread_id) as socket:
        answer = await command(socket, "run.start", RUN)
        assert (answer["type"], answer["error"], answer["message"]) == ("error", "invalid_argument", body["message"])
        assert all(named in answer["message"] for named in [*busy, f"{LIMIT} runs", f"allows {LIMIT}"])
    assert (await http.get(f"/threads/{thread_id}/runs")).json() == []


async def test_a_cancelled_run_makes_room(http: httpx.AsyncClient, at_its_limit: list[dict[str, Any]]) -> None:
    first = at_its_limit[0]
    cancelled = await http.post(f"/threads/{first['thread_id']}/runs/{first['run_id']}/cancel")
    assert cancelled.json()["status"] == "interrupted", cancelled.text
    await start_run(http, first["thread_id"], "hello", after_seconds=3600)
    assert (await http.post(f"/threads/{first['thread_id']}/runs", json=RUN)).status_code == 429


async def test_the_printed_token_is_for_an_account_with_a_plan_of_its_own(
    stack: RunningStack, database: asyncpg.Connection
) -> None:
    plan = await database.fetchval("SELECT plan_id FROM accounts WHERE account_id = $1", stack.fields["account_id"])
    assert plan == "local"


async def test_a_connection_beyond_the_limit_is_refused(stack: RunningStack, client: Stack, account_id: str) -> None:
    await give_plan(stack, account_id, max_connections=2)

    async def open_one() -> ClientConnection:
        return await connect(client.websocket_url(str(uuid.uuid4())), additional_headers=client.headers)

    first, second = await open_one(), await open_one()
    with pytest.raises(InvalidStatus) as refused:
        await open_one()
    assert refused.value.response.status_code == 429

    await first.close()

    async def reopened() -> ClientConnection | None:
        try:
            return await open_one()
        except InvalidStatus:
            return None

    third = await eventually(reopened, lambda opened: opened is not None)
    assert third is not None
    for socket in (second, third):
        await socket.close()
