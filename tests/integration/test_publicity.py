"""Which events of a public thread are everybody's: none from before it was public, none of what was hidden since."""

import time
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from functions.api.publicity import show_from_now_on
from functions.api.sender.main import _serve
from shared.database import runs, threads, transaction
from shared.domain import Claim
from shared.errors import EventLogUnavailableError
from shared.runs import transitions
from shared.runs.settle import drain
from shared.runs.stopping import request_stop
from shared.stream import log, subscriptions
from shared.stream.filters import Filter
from shared.stream.subscriptions import ConnectionRecord
from tests.integration import opened
from tests.integration.databases import Database
from tests.integration.gateway import Gateway, gateway
from tests.integration.queues import Queues
from tests.integration.test_sender import appended, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table")

OWNER = "the owner"


@pytest.fixture
async def posts(monkeypatch: pytest.MonkeyPatch, queues: Queues) -> AsyncIterator[Gateway]:
    async with gateway() as found:
        monkeypatch.setenv("CONNECTIONS_URL", found.url)
        opened.forget_settings()
        yield found
    await opened.close_redis()


async def _publish(thread_id: UUID) -> None:
    """As PATCH does."""
    async with transaction() as taken:
        await threads.update(taken, thread_id=thread_id, account_id=OWNER, metadata={}, is_public=True)
    await show_from_now_on(thread_id=thread_id, account_id=OWNER)


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
    await subscriptions.add(record, Filter(subscription_id="s", channels=frozenset({"custom"})), since=0)
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


async def test_a_thread_that_is_made_public_in_the_middle_of_a_run_shows_the_rest_of_it(
    database: Database, posts: Gateway
) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 10)
    await _publish(thread_id)
    assert await _bound(database, thread_id) == 10
    await appended(claim, 11, 20)
    await _ended(claim, last_seq=20)
    assert await _reads(thread_id, posts) == list(range(11, 21))


async def test_where_the_log_is_away_the_rest_of_the_run_stays_private_and_the_next_one_does_not(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 10)

    async def away(*_: object) -> int | None:
        raise EventLogUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(log, "last_seq", away)
        await _publish(thread_id)
    assert await _bound(database, thread_id) == claim.reserved_seq
    await appended(claim, 11, 20)
    await _ended(claim, last_seq=20)
    assert await _bound(database, thread_id) == 21
    following = await _claimed(database, thread_id)
    await appended(following, 22, 25)
    await _ended(following, last_seq=25)
    assert await _reads(thread_id, posts) == [22, 23, 24, 25]


@pytest.mark.parametrize("held", [True, False])
async def test_what_is_rolled_back_is_not_everybodys_any_more(
    database: Database, posts: Gateway, queues: Queues, held: bool
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 10)
    if held:
        error = {"code": "rollback", "message": "rolled back"}
        await transitions.finish(claim, status="stopped", error=error, last_seq=10)
    else:
        await database.expire_lease(claim.agent_run_id)
        await request_stop(agent_run_id=claim.agent_run_id, account_id=OWNER, kind="rollback")
    assert await _bound(database, thread_id) >= 10
    # Of a run whose holder has died, the gap and the end behind it.
    assert set(await _reads(thread_id, posts)).isdisjoint(range(1, 11))


async def test_a_deleted_run_is_not_everybodys_any_more_and_the_one_after_it_is(
    database: Database, posts: Gateway
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    first = await _claimed(database, thread_id)
    await appended(first, 1, 10)
    await _ended(first, last_seq=10)
    second = await _claimed(database, thread_id)
    await appended(second, 12, 15)
    async with transaction() as taken:
        await runs.delete(taken, agent_run_id=first.agent_run_id, account_id=OWNER, thread_id=thread_id)
    assert await _bound(database, thread_id) == 11
    await _ended(second, last_seq=15)
    assert await _reads(thread_id, posts) == [12, 13, 14, 15]
