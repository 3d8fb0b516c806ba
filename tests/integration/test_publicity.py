"""Which events of a public thread are everybody's: none from before it was public, none of what was hidden since."""

import time
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.sender.main import _serve
from functions.api.sender.serving import Replay
from shared import events
from shared.database import facts, runs, threads, transaction
from shared.domain import Claim
from shared.errors import DatabaseUnavailableError
from shared.runs import transitions
from shared.runs.settle import drain
from shared.runs.stopping import request_stop
from shared.stream import log, log_hold, subscriptions
from shared.stream.appender import Appender
from shared.stream.delivery import NoDelivery
from shared.stream.filters import Filter
from shared.stream.publisher import Publisher
from shared.stream.subscriptions import ConnectionRecord
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.queues import Queues
from tests.integration.watchers import appended, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")

OWNER = "the owner"


async def _publish(thread_id: UUID) -> None:
    """As PATCH does."""
    async with transaction() as taken:
        await threads.update(taken, thread_id=thread_id, account_id=OWNER, metadata={}, is_public=True)


async def _bound(database: Database, thread_id: UUID) -> int:
    return (await database.thread(thread_id))["public_after_seq"]


async def _claimed(database: Database, thread_id: UUID) -> Claim:
    run_id = await database.new_run(thread_id)
    claim = await transitions.claim(agent_run_id=run_id, account_id=OWNER, executor="queue", lease_s=60)
    assert claim is not None
    return claim


async def _reads(thread_id: UUID, posts: Gateway) -> list[int]:
    """The numbers that a stranger gets who asks for everything."""
    record = ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id="a reader",
        owner_id=OWNER,
        thread_id=thread_id,
        opened_at=time.time(),
        credential_expires_at=2.0**32,
    )
    await subscriptions.put_connection(record)
    await subscriptions.add(record, Filter(subscription_id="s", channels=frozenset({"custom", "lifecycle"})), since=0)
    await _serve(thread_id, account_id=OWNER, limit_s=10, function="the-sender")
    sent = posts.seqs(record.connection_id) if record.connection_id in posts.sent else []
    return [seq for seq in sent if seq is not None]


async def _ended(claim: Claim, *, last_seq: int) -> None:
    await transitions.finish(claim, status="completed", error=None, last_seq=last_seq)
    await drain(thread_id=claim.thread_id, account_id=OWNER)


async def test_an_idle_thread_is_public_from_its_last_event_on(database: Database, posts: Gateway) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 10)
    await _ended(claim, last_seq=10)
    await _publish(thread_id)
    assert await _bound(database, thread_id) == 11  # with the run's end
    own = await watching(thread_id, account_id=OWNER)
    assert await _reads(thread_id, posts) == []
    assert posts.seqs(own) == list(range(1, 11))
    # To make it public once more changes nothing.
    await _publish(thread_id)
    assert await _bound(database, thread_id) == 11


async def test_of_a_run_that_goes_on_when_its_thread_is_made_public_only_the_end_is_everybodys(
    database: Database, posts: Gateway
) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 10)
    await _publish(thread_id)
    assert await _bound(database, thread_id) == claim.reserved_seq
    await appended(claim, 11, 20)
    await _ended(claim, last_seq=20)
    assert await _bound(database, thread_id) == 20
    following = await _claimed(database, thread_id)
    await appended(following, 22, 25)
    await _ended(following, last_seq=25)
    assert await _reads(thread_id, posts) == [21, 22, 23, 24, 25, 26]


async def _goes_on(database: Database, claim: Claim, how: str) -> Claim:
    """The run after number 10, as it goes on."""
    if how == "its numbers are used up":
        await appended(claim, 11, 990)
        assert await log_hold.reserve(claim) == claim.reserved_seq + log_hold.SEQ_BLOCK
        return replace(claim, last_seq=990)
    handover_no = None
    if how == "it is handed over":
        handover_no = await transitions.hand_over(claim, wake_by_s=60, last_seq=10)
    elif how == "its holder dies":
        await database.expire_lease(claim.agent_run_id)
    else:
        await database.expire_lease(claim.agent_run_id)
        hold = await log_hold.adopt(thread_id=claim.thread_id, account_id=OWNER)
        assert hold is not None
        await appended(hold, hold.last_seq + 1, hold.last_seq + 10, after=10)
        await log_hold.close(hold, last_seq=hold.last_seq + 10)
    again = await transitions.claim(
        agent_run_id=claim.agent_run_id,
        account_id=OWNER,
        executor="queue" if handover_no is None else "workflow",
        handover_no=handover_no,
        lease_s=60,
    )
    assert again is not None
    return again


@pytest.mark.parametrize(
    "how",
    ["its numbers are used up", "it is handed over", "its holder dies", "its facts are appended by somebody else"],
)
async def test_of_such_a_run_only_the_end_is_everybodys_however_it_goes_on(
    database: Database, posts: Gateway, how: str
) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 10)
    await _publish(thread_id)
    claim = await _goes_on(database, claim, how)
    last_seq = claim.last_seq + 200
    await appended(claim, claim.last_seq + 1, last_seq, after=await log.last_seq(claim))
    assert await _bound(database, thread_id) >= last_seq
    facts_before_it = await database.count("thread_events")
    await _ended(claim, last_seq=last_seq)
    last_seq += facts_before_it + 1
    assert await _reads(thread_id, posts) == [last_seq]
    # ... and the next one is everybody's from its beginning.
    following = await _claimed(database, thread_id)
    await appended(following, last_seq + 1, last_seq + 3)
    await _ended(following, last_seq=last_seq + 3)
    assert await _reads(thread_id, posts) == [last_seq + place for place in range(5)]


async def test_numbers_that_nobody_has_used_hide_nothing_of_the_next_run(database: Database, posts: Gateway) -> None:
    thread_id = await database.new_thread(OWNER)
    # GIVEN somebody who has taken the log to append facts, with a block of numbers, when the thread is made public
    hold = await log_hold.adopt(thread_id=thread_id, account_id=OWNER)
    assert hold is not None
    await _publish(thread_id)
    await log_hold.close(hold, last_seq=0)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 3)
    assert await _bound(database, thread_id) == 0
    await _ended(claim, last_seq=3)
    assert await _reads(thread_id, posts) == [1, 2, 3, 4]


async def test_what_waits_for_its_number_when_the_thread_is_made_public_is_not_everybodys(
    database: Database, posts: Gateway
) -> None:
    thread_id = await database.new_thread(OWNER)
    run_id = await database.new_run(thread_id, status="'completed'")
    async with transaction() as taken:
        told = [events.custom(run_id, "said in private", {}) for _ in range(3)]
        await facts.add(taken, thread_id=thread_id, facts=told)
    await _publish(thread_id)
    await drain(thread_id=thread_id, account_id=OWNER)
    assert await _reads(thread_id, posts) == []


@pytest.mark.parametrize("late", ["the first look fails", "the first holder dies"])
async def test_it_is_not_everybodys_either_where_it_gets_its_number_behind_what_is(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    thread_id = await database.new_thread(OWNER)
    run_id = await database.new_run(thread_id, status="'completed'")
    async with transaction() as taken:
        await facts.add(taken, thread_id=thread_id, facts=[events.custom(run_id, "said in private", {})])
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    real, looks = facts.take, 0

    async def take(*given: Any, **more: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise DatabaseUnavailableError
        return await real(*given, **more)

    if late == "the first holder dies":
        await appended(claim, 1, 1)
        await database.expire_lease(claim.agent_run_id)
        again = await transitions.claim(agent_run_id=claim.agent_run_id, account_id=OWNER, executor="queue", lease_s=60)
        assert again is not None
        claim = again
    else:
        monkeypatch.setattr(facts, "take", take)
    publisher = Publisher(
        Appender(claim, reserve=log_hold.reserve, prove=log_hold.is_newest),
        NoDelivery(),
        run_id=claim.agent_run_id,
        on_lost=lambda: None,
    )
    publisher.start()
    await publisher.publish(events.custom(claim.agent_run_id, "said in public", {}))
    await publisher.drain()
    await publisher.facts()
    async with publisher.closing() as last_seq:
        ended = (await transitions.finish(claim, status="completed", error=None, last_seq=last_seq)).told
        await publisher.end(ended)
    await publisher.close()
    own = await watching(thread_id, account_id=OWNER)
    await _reads(thread_id, posts)
    assert "said in private" in str(posts.sent.pop(own))
    [told] = posts.sent.values()
    assert "said in private" not in str(told)
    assert "said in public" in str(told)


@pytest.mark.parametrize("held", [True, False])
async def test_what_is_rolled_back_is_not_everybodys_any_more(
    database: Database, posts: Gateway, queues: Queues, held: bool
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 10)
    async with transaction() as taken:
        # What a tool has given back, committed and not numbered yet.
        await facts.add(taken, thread_id=thread_id, facts=[events.custom(claim.agent_run_id, "output", {})])
    if held:
        error = {"code": "rollback", "message": "rolled back"}
        await transitions.finish(claim, status="stopped", error=error, last_seq=10)
    else:
        await database.expire_lease(claim.agent_run_id)
        await request_stop(agent_run_id=claim.agent_run_id, account_id=OWNER, kind="rollback")
    await drain(thread_id=thread_id, account_id=OWNER)
    await _reads(thread_id, posts)
    [told] = posts.sent.values()
    # A gap, where its holder has died, and its end.
    assert "output" not in str(told)
    assert {frame["method"] for frame in told} <= {"custom", "values", "lifecycle"}
    assert "failed" in [frame["params"]["data"].get("event") for frame in told]


@pytest.mark.parametrize("deleted", ["the first", "the second"])
async def test_a_deleted_run_is_not_everybodys_any_more_whatever_its_number(
    database: Database, posts: Gateway, deleted: str
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    # GIVEN a run that waits for its time, while the one behind it is executed
    later = await database.new_run(thread_id, not_before="now() + interval '1 hour'")
    first = await _claimed(database, thread_id)
    await appended(first, 1, 10)
    await _ended(first, last_seq=10)
    await database.set_run(later, not_before="now()")
    second = await transitions.claim(agent_run_id=later, account_id=OWNER, executor="queue", lease_s=60)
    assert second is not None
    await appended(second, 12, 15)
    await _ended(second, last_seq=15)
    gone = first if deleted == "the first" else second
    async with transaction() as taken:
        await runs.delete(taken, agent_run_id=gone.agent_run_id, account_id=OWNER, thread_id=thread_id)
    assert await _reads(thread_id, posts) == ([12, 13, 14, 15, 16] if deleted == "the first" else [])


async def test_a_run_that_has_said_nothing_hides_nothing_when_it_is_deleted_or_rolled_back(
    database: Database, posts: Gateway
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 3)
    await _ended(claim, last_seq=3)
    queued = await database.new_run(thread_id)
    await request_stop(agent_run_id=queued, account_id=OWNER, kind="rollback")
    async with transaction() as taken:
        await runs.delete(taken, agent_run_id=queued, account_id=OWNER, thread_id=thread_id)
    assert (await _reads(thread_id, posts))[:4] == [1, 2, 3, 4]


async def test_a_reader_gets_the_state_as_it_is_and_not_as_it_was_said(database: Database, posts: Gateway) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    said = events.values(thread_id, [{"type": "human", "content": "deleted since", "id": "1"}])
    logged = events.number(said, generation=claim.generation, seq=1)
    assert (await log.append(claim, [logged], expected_seq=0, proved=True)).answer == "ok"
    await _ended(claim, last_seq=1)
    own = await watching(thread_id, account_id=OWNER)
    await _reads(thread_id, posts)
    assert "deleted since" in str(posts.sent.pop(own))
    [told] = posts.sent.values()
    assert "deleted since" not in str(told)
    assert {"messages": []} in [frame["params"]["data"] for frame in told]


async def test_what_is_said_while_a_reader_is_served_is_not_sent_by_who_asked_before(
    database: Database, posts: Gateway
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 3)
    replay = Replay(claim, newest_seq=3, extends=False)
    # WHEN the thread is private again by now, and more is said
    await appended(claim, 4, 6)
    assert [await replay.newest_after(cursor) for cursor in (0, 2, 3)] == [3, 3, None]
    assert await Replay(claim, newest_seq=3).newest_after(3) == 6
