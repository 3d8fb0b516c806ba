"""Who watches a thread, on real servers: whoever has no right to it any more, and is many, is in nobody's way."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api import deletions
from functions.api.commands import Caller, execute
from functions.api.sender.main import _serve
from shared.database import threads, transaction
from shared.domain import Json
from shared.errors import SubscriptionsUnavailableError
from shared.runs import transitions
from shared.stream import audience as audience_module
from shared.stream import connections, subscriptions
from shared.stream.audience import dismissed, other_audience
from shared.stream.connections import ThrottledError
from shared.stream.delivery import Delivery
from shared.stream.filters import Filter
from shared.stream.subscriptions import ConnectionRecord, Subscription
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.test_generations import OWNER, made
from tests.integration.test_since import claimed
from tests.integration.waiting import until
from tests.integration.watchers import appended, audience, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")


async def set_public(thread_id: UUID, *, is_public: bool) -> None:
    async with transaction() as taken:
        await threads.update(taken, thread_id=thread_id, account_id=OWNER, metadata={}, is_public=is_public)


async def reading(thread_id: UUID, *, ends_at: float = 2.0**32, subscribes: bool = True) -> ConnectionRecord:
    """A connection of another account's, from when the thread was public."""
    record = ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id="a reader",
        owner_id=OWNER,
        thread_id=thread_id,
        opened_at=time.time() - 60,
        credential_expires_at=ends_at,
    )
    await subscriptions.put_connection(record)
    if subscribes:
        await subscriptions.add(record, Filter(subscription_id="s", channels=frozenset({"custom"})), since=0)
    return record


async def asked(record: ConnectionRecord, method: str, **params: Any) -> Json:
    """The answer to a command over the connection."""
    caller = Caller(account_id=record.account_id, thread_id=record.thread_id, connection=record)
    return await execute(json.dumps({"id": 1, "method": method, "params": params}), caller)


async def test_an_executor_that_outlives_its_thread_leaves_those_alone_who_watch_the_next(
    database: Database, posts: Gateway
) -> None:
    thread_id = uuid4()
    await made(thread_id)
    claim = await claimed(database, thread_id)
    # GIVEN an executor that still serves its run's end, of a thread that was deleted and made again
    delivery = Delivery(claim)
    delivery.start()
    await delivery.offer(await appended(claim, 1, 2))
    await transitions.finish(claim, status="completed", error=None, last_seq=2)
    await deletions.delete_thread(thread_id=thread_id, account_id=OWNER)
    after = await made(thread_id)
    later = await watching(thread_id, account_id=OWNER, generation=after.generation)
    # ... and one who subscribed in between, whose log is whichever is made first
    early = await watching(thread_id, account_id=OWNER)
    assert await delivery.close(timeout_s=5)
    await dismissed(timeout_s=5)
    assert (posts.closed, posts.sent) == ([], {})
    assert {one.generation for one in await audience(after, account_id=OWNER)} == {None, after.generation}
    assert {one.connection_id for one in await audience(after, account_id=OWNER)} == {later, early}


async def test_what_strangers_have_left_of_a_private_thread_is_not_even_read(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = uuid4()
    log = await made(thread_id)
    own = await watching(thread_id, account_id=OWNER)
    for _ in range(3):
        await reading(thread_id)
    read: list[Subscription] = []
    of_item = subscriptions.of_item
    monkeypatch.setattr(subscriptions, "of_item", lambda item: read.append(of_item(item)) or read[-1])
    assert [one.connection_id for one in await audience(log, account_id=OWNER)] == [own]
    assert len(read) == 1
    # They are served again when it is public.
    await set_public(thread_id, is_public=True)
    assert len(await other_audience(log, account_id=OWNER)) == 3


@pytest.mark.parametrize("by", ["the executor", "the sender function"])
async def test_the_threads_own_do_not_wait_for_others_nor_fail_with_them(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    thread_id = uuid4()
    log = await made(thread_id)
    await set_public(thread_id, is_public=True)
    own = await watching(thread_id, account_id=OWNER)

    async def throttled(*_: Any, **__: Any) -> Sequence[Subscription]:
        # It is theirs that is read now, and the thread's own are served already.
        raise SubscriptionsUnavailableError

    monkeypatch.setattr(subscriptions, "of_everybody", throttled)
    if by == "the executor":
        claim = await claimed(database, thread_id)
        delivery = Delivery(claim)
        delivery.start()
        await delivery.offer(await appended(claim, 1, 2))
        await until(lambda: posts.seqs(own) == [1, 2])
        # Somebody else has to look for them.
        assert not await delivery.close(timeout_s=5)
    else:
        await appended(log, 1, 2)
        with pytest.raises(SubscriptionsUnavailableError):
            await _serve(thread_id, account_id=OWNER, limit_s=10, function="the-sender")
    assert posts.seqs(own) == [1, 2]


async def test_connections_that_are_over_are_closed_beside_the_others_and_not_all_at_once(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience_module, "_MOST_DISMISSED", 4)
    thread_id = uuid4()
    log = await made(thread_id)
    await set_public(thread_id, is_public=True)
    alive = await reading(thread_id)
    over = [(await reading(thread_id, ends_at=time.time() - 1)).connection_id for _ in range(6)]
    begun: list[str] = []
    close = connections.close

    async def closing(connection_id: str) -> None:
        begun.append(connection_id)
        await close(connection_id)

    monkeypatch.setattr(connections, "close", closing)
    assert [one.connection_id for one in await audience(log, account_id=OWNER)] == [alive.connection_id]
    # Nobody has waited for that.
    assert begun == []
    await dismissed(timeout_s=5)
    assert len(posts.closed) == 4
    await audience(log, account_id=OWNER)
    await dismissed(timeout_s=5)
    assert sorted(posts.closed) == sorted(over)


async def test_who_may_not_read_any_more_may_not_subscribe(database: Database, posts: Gateway) -> None:
    thread_id = uuid4()
    await made(thread_id)
    await set_public(thread_id, is_public=True)
    record = await reading(thread_id, subscribes=False)
    await set_public(thread_id, is_public=False)
    answer = await asked(record, "subscription.subscribe", channels=["custom"])
    assert (answer["type"], "not public" in answer["message"]) == ("error", True)
    assert await subscriptions.of_thread(thread_id, account_id=OWNER) == []


async def test_a_reader_who_makes_the_thread_anew_is_told_to_connect_again(database: Database, posts: Gateway) -> None:
    thread_id = uuid4()
    await made(thread_id)
    await set_public(thread_id, is_public=True)
    record = await reading(thread_id, subscribes=False)
    await deletions.delete_thread(thread_id=thread_id, account_id=OWNER)
    log = await made(thread_id, account_id="a reader")
    answer = await asked(record, "subscription.subscribe", channels=["custom"])
    assert (answer["type"], "connect again" in answer["message"]) == ("error", True)
    # A connection that knows whose it is gets it.
    again = replace(record, owner_id=None, connection_id="again=")
    assert (await asked(again, "subscription.subscribe", channels=["custom"], since=0))["type"] == "success"
    assert [one.connection_id for one in await audience(log, account_id="a reader")] == ["again="]


@pytest.mark.parametrize("failing", ["the gateway", "DynamoDB", "DynamoDB, half way"])
async def test_who_could_not_be_sent_away_is_met_again(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    thread_id = uuid4()
    log = await made(thread_id)
    # GIVEN a connection from before the thread was made again
    connection_id = await watching(thread_id, account_id=OWNER, generation=uuid4())
    record = await subscriptions.get_connection(connection_id)
    assert record is not None

    async def throttled(*_: Any, **__: Any) -> None:
        raise ThrottledError if failing == "the gateway" else SubscriptionsUnavailableError

    where: tuple[Any, str] = {
        "the gateway": (connections, "close"),
        "DynamoDB": (subscriptions, "delete_connection"),
        "DynamoDB, half way": (subscriptions.open_connections, "remove"),
    }[failing]
    with monkeypatch.context() as patch:
        patch.setattr(*where, throttled)
        assert await audience(log, account_id=OWNER) == []
        await dismissed(timeout_s=5)
    # Either it is closed, or somebody will see to it: none is open, answered and told nothing.
    assert connection_id in posts.closed or await subscriptions.get(record) is not None
    for _ in range(2):
        assert await audience(log, account_id=OWNER) == []
        await dismissed(timeout_s=5)
    assert connection_id in posts.closed
    if failing != "DynamoDB, half way":
        assert await subscriptions.get_connection(connection_id) is None
