"""Where a subscription begins that says since when: after that event, and never in silence."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.commands import Caller, execute
from functions.api.sender.main import _serve
from shared.database import connection, threads
from shared.domain import Claim, Json
from shared.runs import transitions
from shared.runs.settle import drain
from shared.stream import subscriptions, wake
from shared.stream.delivery import Delivery
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.queues import Queues
from tests.integration.test_generations import OWNER, deleted, made, opened_on
from tests.integration.waiting import until
from tests.integration.watchers import appended

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues", "nobody_is_woken", "redis_closed")


@pytest.fixture
def nobody_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test serves by itself."""

    async def sender(**_: Any) -> None:
        pass

    monkeypatch.setattr(wake, "sender", sender)


async def claimed(database: Database, thread_id: UUID) -> Claim:
    run_id = await database.new_run(thread_id)
    claim = await transitions.claim(agent_run_id=run_id, account_id=OWNER, executor="queue", lease_s=60)
    assert claim is not None
    return claim


async def ended(claim: Claim, *, last_seq: int) -> None:
    await transitions.finish(claim, status="completed", error=None, last_seq=last_seq)
    await drain(thread_id=claim.thread_id, account_id=OWNER)


async def subscribed(thread_id: UUID, *, since: int | str) -> tuple[str, Json]:
    """A new connection of the owner's asks for what comes after ``since``: its id, and the answer."""
    async with connection() as taken:
        found = await threads.stream_position(taken, thread_id=thread_id, account_id=OWNER)
    record = opened_on(thread_id, None if found is None else found.log.generation, begins_after=0)
    await subscriptions.put_connection(record)
    params = {"channels": ["custom", "lifecycle"], "since": since}
    body = json.dumps({"id": 1, "method": "subscription.subscribe", "params": params})
    return record.connection_id, await execute(body, Caller(account_id=OWNER, thread_id=thread_id, connection=record))


async def begins_after(thread_id: UUID, *, since: int | str) -> int:
    connection_id, answer = await subscribed(thread_id, since=since)
    assert answer["type"] == "success", answer
    found = await subscriptions.of_thread(thread_id, account_id=OWNER)
    [cursor] = [one.cursor for one in found if one.connection_id == connection_id]
    return cursor


@pytest.mark.parametrize("since", ["a number", "an id"])
async def test_who_comes_back_to_a_thread_that_was_made_again_gets_all_of_its_run(
    database: Database, posts: Gateway, queues: Queues, since: str
) -> None:
    # GIVEN a client that has seen 501 events of a thread
    thread_id = uuid4()
    before = await made(thread_id)
    claim = await claimed(database, thread_id)
    await appended(claim, 1, 500)
    await ended(claim, last_seq=500)
    # ... that was deleted and made again, and whose run has reserved more numbers than that
    await deleted(thread_id, queues)
    await made(thread_id)
    claim = await claimed(database, thread_id)
    delivery = Delivery(claim)
    delivery.start()
    await delivery.offer(await appended(claim, 1, 200))
    # WHEN it comes back in the middle of the run
    last = 501 if since == "a number" else f"{before.generation}:501"
    connection_id, answer = await subscribed(thread_id, since=last)
    assert answer["type"] == "success"
    delivery.refresh_soon()
    await until(lambda: 200 in posts.seqs(connection_id))
    await delivery.offer(await appended(claim, 201, 300))
    assert await delivery.close(timeout_s=5)
    await ended(claim, last_seq=300)
    await _serve(thread_id, account_id=OWNER, limit_s=10, function="the-sender")
    assert posts.seqs(connection_id) == list(range(1, 302))


@pytest.mark.parametrize("held", [True, False])
async def test_an_event_is_a_place_in_its_own_log_only(database: Database, held: bool) -> None:
    thread_id = uuid4()
    log = await made(thread_id)
    claim = await claimed(database, thread_id)
    await appended(claim, 1, 40)
    if not held:
        await ended(claim, last_seq=40)
    assert await begins_after(thread_id, since=f"{log.generation}:30") == 30
    # What has no number stands behind one.
    assert await begins_after(thread_id, since=f"{log.generation}:30:{uuid4()}") == 30
    # WHEN it is of a log that is no more, THEN this one is told from its beginning, wherever it ends
    assert await begins_after(thread_id, since=f"{uuid4()}:30") == 0
    assert await begins_after(thread_id, since=f"{uuid4()}:5000") == 0


async def test_a_number_that_the_log_does_not_reach_is_of_another_one(database: Database) -> None:
    thread_id = uuid4()
    log = await made(thread_id)
    claim = await claimed(database, thread_id)
    await appended(claim, 1, 40)
    assert [await begins_after(thread_id, since=since) for since in (0, 39, 40)] == [0, 39, 40]
    assert await begins_after(thread_id, since=41) == 0
    # Whoever says which log has seen it there: Redis has lost it since, or not got it yet.
    assert await begins_after(thread_id, since=f"{log.generation}:41") == 41
    await ended(claim, last_seq=40)
    assert await begins_after(thread_id, since=41) == 41


async def test_before_there_is_a_thread_no_event_was_in_it(database: Database) -> None:
    thread_id = uuid4()
    assert await begins_after(thread_id, since=f"{uuid4()}:30") == 0
    del database


@pytest.mark.parametrize("since", ["1001", "1001 of it", "an id", "a number", "too large"])
async def test_what_nobody_can_have_seen_is_refused(database: Database, since: str) -> None:
    thread_id = uuid4()
    log = await made(thread_id)
    await claimed(database, thread_id)
    given: dict[str, int | str] = {
        "1001": 1001,
        "1001 of it": f"{log.generation}:1001",
        "an id": str(log.generation),
        "a number": f"{log.generation}:-1",
        "too large": f"{log.generation}:{10**19}",
    }
    _, answer = await subscribed(thread_id, since=given[since])
    assert (answer["type"], answer["error"]) == ("error", "invalid_argument")
    assert "since" in answer["message"]
