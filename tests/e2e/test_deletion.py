"""Deleting an account of the deployed stack, in the middle of a run."""

import json

import asyncpg
import httpx

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack
from tests.e2e.following import eventually, next_frame, subscribed
from tests.e2e.threads import ended_run, new_assistant, new_thread, start_run
from tests.traces import traces


async def test_nothing_is_left_of_an_account_that_was_busy(
    http: httpx.AsyncClient, client: Stack, stack: RunningStack, account_id: str
) -> None:
    done, busy = await new_thread(http), await new_thread(http)
    await ended_run(http, await start_run(http, done, "[[say hello]]"))
    await new_assistant(http)
    await http.post("/api-keys", json={"name": "laptop"})
    await http.post("/threads", json={}, headers={"idempotency-key": "once"})
    async with subscribed(client, busy) as socket:
        # GIVEN a run that would never end, and somebody who watches it
        await start_run(http, busy, "[[endless rate 20]]")
        assert (await next_frame(socket))["type"] == "event"
        database: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(stack.fields["database_url"])
        try:
            assert {"accounts", "api_keys", "assistants", "idempotency_keys", "messages"} <= (
                await traces(database, account_id)
            ).keys()
            # WHEN the account is deleted, twice
            for _ in range(2):
                assert (await http.delete("/account")).status_code == 202
            # THEN the run ends, and no table holds the account or its threads
            await eventually(lambda: traces(database, account_id, done, busy), lambda left: not left)
        finally:
            await database.close()
    items = stack.aws("dynamodb").scan(TableName=stack.fields["outputs"]["SubscriptionsTable"], ConsistentRead=True)
    assert not [item for item in items["Items"] if account_id in json.dumps(item)]
    assert (await http.get(f"/threads/{done}")).status_code == 404
