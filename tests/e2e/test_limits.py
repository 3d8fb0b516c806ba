"""An account's limit on unfinished runs, over HTTP and over WebSocket."""

import asyncpg
import httpx
import pytest

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack
from tests.e2e.following import command, subscribed
from tests.e2e.threads import ended_run, new_thread, start_run

LIMIT = 3


@pytest.fixture
async def limited(stack: RunningStack, http: httpx.AsyncClient, account_id: str) -> None:
    """The account has the plan that accounts have by default."""
    await new_thread(http)
    connection = await asyncpg.connect(stack.fields["database_url"])
    try:
        await connection.execute(
            "INSERT INTO plans (plan_id, max_unfinished_runs, requests_per_minute, request_burst)"
            " VALUES ('limited', $1, 1000000, 1000000) ON CONFLICT DO NOTHING",
            LIMIT,
        )
        await connection.execute("UPDATE accounts SET plan_id = 'limited' WHERE account_id = $1", account_id)
    finally:
        await connection.close()


@pytest.mark.usefixtures("limited")
async def test_a_run_beyond_the_limit_is_refused_with_what_runs(http: httpx.AsyncClient, client: Stack) -> None:
    threads = [await new_thread(http) for _ in range(LIMIT)]
    runs = [await start_run(http, thread_id, "[[tokens 100 rate 20]]") for thread_id in threads]

    elsewhere = await new_thread(http)
    body = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "one more"}]}}
    answer = await http.post(f"/threads/{elsewhere}/runs", json=body)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "5"
    said = answer.json()
    assert said["code"] == "limit_exceeded"
    assert "its plan allows 3" in said["message"]
    assert said["detail"] == {"running_thread_ids": sorted(threads), "running_count": 3, "limit": 3}
    async with subscribed(client, elsewhere) as socket:
        refused = await command(socket, "run.start", body)
    assert (refused["type"], refused["message"]) == ("error", said["message"])
    assert (await http.get(f"/threads/{elsewhere}/runs")).json() == []

    # What is stopped makes room.
    await http.post(f"/threads/{threads[0]}/runs/{runs[0]['run_id']}/cancel", params={"wait": "1"})
    again = await start_run(http, elsewhere, "[[say there is room]]")
    assert (await ended_run(http, again))["status"] == "success"
