"""Requests that wait: so many an account at a time, whatever comes at once and whatever dies."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api import endings
from functions.api.limits.waits import waiting
from shared.database import connection, waits
from shared.errors import TooManyWaitsError
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deployed import Deployed, HttpApi

MOST = 3


@pytest.fixture(autouse=True)
async def _limited(database: Database) -> None:
    await database.connection.execute("UPDATE plans SET max_waits = $1", MOST)


async def _take(account_id: str, *, for_s: float = 60.0) -> waits.Place:
    async with connection() as taken:
        return await waits.take(taken, account_id=account_id, for_s=for_s)


async def test_of_many_at_once_exactly_as_many_wait_as_the_plan_allows(account_id: str) -> None:
    done = await asyncio.gather(*(_take(account_id) for _ in range(40)), return_exceptions=True)
    places = [one.place for one in done if isinstance(one, waits.Place)]
    assert sorted(places) == [1, 2, 3]
    refused = [one for one in done if isinstance(one, TooManyWaitsError)]
    assert len(refused) == 40 - MOST
    for error in refused:
        assert error.retry_after_s is not None
        assert 1 <= error.retry_after_s <= 60
        assert error.detail == {
            "limit": "max_waits",
            "plan": "default",
            "max_waits": MOST,
            "retry_after_s": error.retry_after_s,
        }


async def test_another_account_does_not_notice(account_id: str) -> None:
    for _ in range(MOST):
        await _take(account_id)
    assert (await _take(f"other-{account_id}")).place in {1, 2, 3}


async def test_a_place_is_free_after_its_block_and_when_its_holder_has_died(
    database: Database, account_id: str
) -> None:
    async with AsyncExitStack() as held:
        for _ in range(MOST):
            await held.enter_async_context(waiting(account_id, longest_s=20))
        with pytest.raises(TooManyWaitsError):
            await _take(account_id)
    assert await database.count("waits") == 0

    gone = [await _take(account_id) for _ in range(MOST)]
    await database.connection.execute("UPDATE waits SET expires_at = clock_timestamp()")
    [now, *_] = [await _take(account_id) for _ in range(MOST)]
    # Whoever comes back from the dead gives back what is another's by now: nothing.
    async with connection() as taken:
        for place in gone:
            await waits.give_back(taken, place)
    assert await database.count("waits") == MOST
    async with connection() as taken:
        await waits.give_back(taken, now)
    assert await database.count("waits") == MOST - 1


def _waiting_requests(thread_id: UUID, run_id: str) -> list[tuple[str, str, Any]]:
    run = f"/threads/{thread_id}/runs/{run_id}"
    new = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}
    return [
        ("GET", f"{run}/join", None),
        ("GET", f"{run}/stream", None),
        ("GET", f"/resume{run}/stream", None),
        ("GET", f"/api/agent-run/{run_id}/stream", None),
        ("POST", f"{run}/cancel?wait=1", None),
        ("POST", f"/threads/{thread_id}/runs/wait", new),
        ("POST", f"/threads/{thread_id}/runs/stream", new),
    ]


@pytest.fixture(scope="module")
def api(start_function: StartFunction, deployed: Deployed) -> HttpApi:
    """The HTTP function, over the deployed database."""
    return HttpApi(start_function("functions.api.http.main.handler"))


async def test_every_request_that_waits_is_refused_while_the_places_are_taken(
    api: HttpApi, deployed: Deployed, account_id: str
) -> None:
    thread_id = uuid4()
    run = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}
    body = {**run, "if_not_exists": "create", "after_seconds": 3600}
    made = api.request("POST", f"/threads/{thread_id}/runs", body, account_id=account_id)
    assert made.status == 200, made.body
    run_id = made.body["run_id"]
    database = deployed.database.connection
    await database.execute(
        "INSERT INTO waits (account_id, kind, place, wait_id, expires_at)"
        " SELECT $1, 'request', place, gen_random_uuid(), clock_timestamp() + interval '50 s'"
        " FROM generate_series(1, 1000) AS place",
        account_id,
    )
    for method, path, body in _waiting_requests(thread_id, run_id):
        where, _, query = path.partition("?")
        answer = api.request(method, where, body, query=query, account_id=account_id)
        assert answer.status == 429, (method, path, answer.body)
        assert answer.body["detail"]["limit"] == "max_waits"
        assert 1 <= int(answer.headers["retry-after"]) <= 50
    # Nothing of it has begun: no second run, and the first is as it was.
    runs = await database.fetch(
        "SELECT agent_run_id::text, stop_requested FROM agent_runs WHERE account_id = $1", account_id
    )
    assert [tuple(row) for row in runs] == [(run_id, None)]
    assert api.request("GET", f"/threads/{thread_id}/runs/{run_id}", account_id=account_id).status == 200


async def test_a_wait_takes_no_longer_than_its_place_is_held(account_id: str, database: Database) -> None:
    thread_id = await database.new_thread(account_id)
    run_id = await database.new_run(thread_id)
    async with waiting(account_id, longest_s=endings.LONGEST_WAIT_S) as wait:
        with pytest.raises(endings.StillRunningError):
            await endings.final_values(
                wait, account_id=account_id, thread_id=thread_id, agent_run_id=run_id, longest_s=0.0
            )
