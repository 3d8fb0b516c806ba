"""Webhooks of the deployed stack, at a receiver that is away at first."""

import asyncpg
import httpx

from tests.e2e.conftest import RunningStack
from tests.e2e.following import eventually
from tests.e2e.threads import ended_run, new_thread, start_run
from tests.webhook_receiver import receiving


async def _attempts(database: "asyncpg.Connection[asyncpg.Record]", run_id: str) -> tuple[int, str]:
    row = await database.fetchrow("SELECT attempts, status FROM webhook_deliveries WHERE agent_run_id = $1", run_id)
    assert row is not None
    return row["attempts"], row["status"]


async def test_a_runs_end_reaches_a_receiver_that_was_away_under_one_id(
    http: httpx.AsyncClient, stack: RunningStack, hook_port: int
) -> None:
    secret = (await http.get("/webhooks/secret")).json()["secret"]
    thread_id = await new_thread(http)
    database: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(stack.fields["database_url"])
    try:
        # GIVEN nobody at the address
        url = f"http://127.0.0.1:{hook_port}/hook"
        run = await start_run(http, thread_id, "[[say told]]", webhook=url)
        ended = await ended_run(http, run)
        await eventually(lambda: _attempts(database, run["run_id"]), lambda found: found[0] >= 1)
        # THEN the run is settled all the same
        settled = "SELECT settled_at IS NOT NULL FROM agent_runs WHERE agent_run_id = $1"
        assert await eventually(lambda: database.fetchval(settled, run["run_id"]), bool)
        # WHEN the receiver comes, and fails once
        async with receiving(hook_port) as receiver:
            receiver.statuses = [500]
            await eventually(lambda: _attempts(database, run["run_id"]), lambda found: found[1] == "delivered")
        # THEN it has the run's end, signed, under one id
        assert len(receiver.deliveries) == 2
        assert {delivery.webhook_id for delivery in receiver.deliveries} == {run["run_id"]}
        assert all(delivery.is_signed_with(secret) for delivery in receiver.deliveries)
        body = receiver.deliveries[-1].json()
        assert {name: body[name] for name in ended} == ended
        assert [message["content"] for message in body["values"]["messages"]][-1] == "told"
    finally:
        await database.close()


async def test_a_private_address_is_refused_before_anything_is_recorded(http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    body = {"assistant_id": "agent", "input": "x", "webhook": "https://169.254.169.254/latest/meta-data"}
    answer = await http.post(f"/threads/{thread_id}/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_argument")
    assert (await http.get(f"/threads/{thread_id}/runs")).json() == []
