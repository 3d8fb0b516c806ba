"""Who serves the readers of a public thread, and on whose places: never on those of the account whose thread it is."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.commands import Caller, execute
from functions.api.sender.main import _serve
from shared.database import connection, threads, transaction
from shared.errors import SubscriptionsUnavailableError
from shared.stream import audience, sender_lease, subscriptions, unserved, wake
from shared.stream.delivery import Delivery
from shared.stream.filters import Filter
from shared.stream.subscriptions import ConnectionRecord, Subscription
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.waiting import until
from tests.integration.watchers import appended, watching
from tests.thread_logs import hold_of

pytestmark = pytest.mark.usefixtures("subscriptions_table", "redis_closed")

OWNER, READER = "the owner", "a reader"


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[UUID, str, bool]]:
    """Whom the sender function was woken for: thread, account, and whether the thread is another's."""
    found: list[tuple[UUID, str, bool]] = []

    async def sender(*, thread_id: UUID, account_id: str, is_others: bool = False, function: str | None = None) -> None:
        del function
        found.append((thread_id, account_id, is_others))

    monkeypatch.setattr(wake, "sender", sender)
    return found


@pytest.fixture
def deaf(posts: Gateway) -> Gateway:
    """Where posts go, and some of them stay."""
    posts.deaf.clear()
    posts.hears.clear()
    return posts


def _record(thread_id: UUID, *, of: str = READER) -> ConnectionRecord:
    return ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id=of,
        owner_id=OWNER,
        thread_id=thread_id,
        opened_at=time.time(),
        credential_expires_at=2.0**32,
    )


async def _reading(thread_id: UUID, *, of: str = READER) -> str:
    record = _record(thread_id, of=of)
    await subscriptions.put_connection(record)
    await subscriptions.add(record, Filter(subscription_id="s", channels=frozenset({"custom"})), since=0)
    return record.connection_id


async def _thread(database: Database, *, is_public: bool) -> UUID:
    """One of the owner's, in which three events have happened."""
    thread_id = await database.new_thread(OWNER)
    async with transaction() as taken:
        await threads.update(taken, thread_id=thread_id, account_id=OWNER, metadata={}, is_public=is_public)
    await appended(await database.log(thread_id), 1, 3)
    return thread_id


def _serving(thread_id: UUID, *, account_id: str = OWNER) -> "asyncio.Task[None]":
    serving = _serve(
        thread_id, account_id=account_id, is_others=account_id != OWNER, limit_s=3600, function="the-sender"
    )
    return asyncio.create_task(serving)


async def test_deaf_readers_take_no_place_of_the_account_whose_thread_it_is(
    deaf: Gateway, database: Database, woken: list[tuple[UUID, str, bool]]
) -> None:
    await database.connection.execute("UPDATE plans SET max_senders = 1")
    public, private = await _thread(database, is_public=True), await _thread(database, is_public=False)
    reader, own = await _reading(public), await watching(private, account_id=OWNER)
    # GIVEN a reader of a public thread who takes nothing, and is being served
    deaf.deaf.add(reader)
    reading = _serving(public, account_id=READER)
    await until(lambda: deaf.posting.get(reader))
    # WHEN the owner's private thread is served THEN it waits for nobody
    await _serving(private)
    assert deaf.seqs(own) == [1, 2, 3]
    assert not reading.done()
    deaf.deaf.clear()
    deaf.hears.set()
    await reading
    assert deaf.seqs(reader) == [1, 2, 3]
    assert woken == []
    assert await database.count("waits") == 0


async def test_who_serves_the_owner_leaves_slow_readers_to_senders_of_their_own(
    deaf: Gateway, database: Database, woken: list[tuple[UUID, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Within it they are looked for, too.
    monkeypatch.setattr("functions.api.sender.serving.READERS_S", 3.0)
    public = await _thread(database, is_public=True)
    readers = [await _reading(public, of=one) for one in ("slow", "slow", "quick")]
    own = await watching(public, account_id=OWNER)
    deaf.deaf.update(readers[:2])
    await asyncio.wait_for(_serving(public), timeout=60)
    assert (deaf.seqs(own), deaf.seqs(readers[2])) == ([1, 2, 3], [1, 2, 3])
    # One invocation for both connections, on a place of their account.
    assert woken == [(public, "slow", True)]
    deaf.deaf.clear()
    deaf.hears.set()
    await _serving(public, account_id="slow")
    # What was on its way may come again.
    assert [sorted(set(filter(None, deaf.seqs(one)))) for one in readers[:2]] == [[1, 2, 3]] * 2
    assert await database.count("sender_calls") == await database.count("reader_calls") == 0


async def test_a_reader_of_more_threads_than_it_has_places_for_waits_and_is_served(
    deaf: Gateway, database: Database, woken: list[tuple[UUID, str, bool]]
) -> None:
    await database.connection.execute("UPDATE plans SET max_senders = 1")
    public = [await _thread(database, is_public=True) for _ in range(3)]
    readers = [await _reading(one) for one in public]
    deaf.deaf.add(readers[0])
    serving = _serving(public[0], account_id=READER)
    await until(lambda: deaf.posting.get(readers[0]))
    for one in public[1:]:
        await _serving(one, account_id=READER)
    assert [deaf.posting.get(one, 0) for one in readers[1:]] == [0, 0]
    # A thread that has become private meanwhile is served to nobody, and does not wait for ever.
    async with transaction() as taken:
        await threads.update(taken, thread_id=public[2], account_id=OWNER, metadata={}, is_public=False)
    deaf.deaf.clear()
    deaf.hears.set()
    await serving
    assert [deaf.seqs(one) for one in readers] == [[1, 2, 3], [1, 2, 3], []]
    assert (await database.count("reader_calls"), await database.count("waits"), woken) == (0, 0, [])


async def test_if_the_threads_own_cannot_be_served_its_readers_are_and_lambda_tries_again(
    deaf: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = await _thread(database, is_public=True)
    reader = await _reading(public)

    async def throttled(*_: Any, **__: Any) -> Any:
        raise SubscriptionsUnavailableError

    monkeypatch.setattr(subscriptions, "of_account", throttled)
    monkeypatch.setattr("functions.api.sender.serving.READERS_S", 3600)
    deaf.deaf.add(reader)
    serving = _serving(public)
    await until(lambda: deaf.posting.get(reader))
    # Who serves the others goes on within the invocation: one that went on behind it would hold leases while the
    # environment is frozen.
    assert not serving.done()
    deaf.deaf.clear()
    deaf.hears.set()
    with pytest.raises(SubscriptionsUnavailableError):
        await serving
    assert deaf.seqs(reader) == [1, 2, 3]


async def test_a_reader_who_cannot_be_served_fails_nothing_of_the_account_whose_thread_it_is(
    deaf: Gateway, database: Database, woken: list[tuple[UUID, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    public, private = await _thread(database, is_public=True), await _thread(database, is_public=False)
    await _reading(public)
    own, waiting = await watching(public, account_id=OWNER), await watching(private, account_id=OWNER)
    await database.connection.execute("INSERT INTO sender_calls VALUES ($1, $2)", OWNER, private)
    claim = sender_lease.claim

    async def refused(wanted: Subscription, **of: Any) -> Subscription | None:
        # As DynamoDB refuses to add to an item that is full.
        if wanted.reader_id is not None:
            raise SubscriptionsUnavailableError
        return await claim(wanted, **of)

    monkeypatch.setattr(sender_lease, "claim", refused)
    await _serving(public)
    assert (deaf.seqs(own), deaf.seqs(waiting)) == ([1, 2, 3], [1, 2, 3])
    assert woken == [(public, READER, True)]
    # Whom it fails is the reader's own sender.
    with pytest.raises(SubscriptionsUnavailableError):
        await _serving(public, account_id=READER)


async def test_another_readers_connections_are_not_served_on_its_places(deaf: Gateway, database: Database) -> None:
    public = await _thread(database, is_public=True)
    reader, other = await _reading(public), await _reading(public, of="another")
    await _serving(public, account_id=READER)
    assert (deaf.seqs(reader), deaf.seqs(other)) == ([1, 2, 3], [])


async def test_an_executor_waits_for_no_reader_at_the_end_of_a_run(
    deaf: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.stream.delivery.READERS_S", 0.5)
    public = await _thread(database, is_public=True)
    reader, own = await _reading(public), await watching(public, account_id=OWNER)
    deaf.deaf.add(reader)
    delivery = Delivery(hold_of(await database.log(public), account_id=OWNER, last_seq=3))
    delivery.start()
    await until(lambda: deaf.posting.get(reader))
    # The time that the thread's own would have: none of it is for others.
    assert not await asyncio.wait_for(delivery.close(timeout_s=3600), timeout=60)
    assert deaf.seqs(own) == [1, 2, 3]


@pytest.mark.usefixtures("queues")
async def test_who_subscribes_to_anothers_thread_is_served_on_its_own_places(
    deaf: Gateway, database: Database, woken: list[tuple[UUID, str, bool]]
) -> None:
    del deaf
    public = await _thread(database, is_public=True)
    await database.connection.execute("UPDATE threads SET reserved_seq = 3, last_seq = 3")
    async with connection() as taken:
        log = await threads.log(taken, thread_id=public, account_id=OWNER)
    for record in (_record(public), replace(_record(public, of=OWNER), owner_id=None)):
        await subscriptions.put_connection(record)
        params = {"channels": ["custom"], "since": 0}
        caller = Caller(account_id=record.account_id, thread_id=public, connection=record)
        body = {"id": 1, "method": "subscription.subscribe", "params": params}
        answer: dict[str, Any] = await execute(json.dumps(body), caller)
        assert answer["type"] == "success", answer
    assert woken == [(public, READER, True), (public, OWNER, False)]
    assert len(await audience.other_audience(log, account_id=OWNER, reader_id=READER)) == 1
    assert await audience.other_audience(log, account_id=OWNER, reader_id="another") == []


async def test_deaf_readers_hold_their_share_of_an_executors_sockets_and_no_more(
    deaf: Gateway, database: Database
) -> None:
    public = await _thread(database, is_public=True)
    thread_log = await database.log(public)
    # GIVEN more connections that take nothing than a process has sockets for them
    strangers = {"greedy": 60, **{f"stranger {number}": 16 for number in range(10)}}
    readers = {one: [await _reading(public, of=one) for _ in range(many)] for one, many in strangers.items()}
    deaf.deaf.update(*readers.values())
    delivery = Delivery(hold_of(thread_log, account_id=OWNER, last_seq=3))
    delivery.start()
    await until(lambda: sum(deaf.posting.values()) >= 128)
    own, other = await watching(public, account_id=OWNER), await _reading(public, of="another reader")
    # THEN the account whose thread it is gets what happens, and everything that happens
    delivery.refresh_soon()
    for seq in (4, 5):
        await delivery.offer(await appended(thread_log, seq, seq))
        await until(lambda seq=seq: deaf.seqs(own) == [*range(1, seq + 1)])
    held = {one: sum(deaf.posting.get(reader, 0) for reader in readers[one]) for one in strangers}
    assert sum(held.values()) == 128
    assert max(held.values()) <= 16
    # AND who waits for a socket has his own time still
    deaf.deaf.clear()
    deaf.hears.set()
    await until(lambda: deaf.seqs(other) == [1, 2, 3, 4, 5])
    assert await delivery.close(timeout_s=10)
    assert deaf.closed == []


async def test_whoever_looks_for_who_lacks_something_has_readers_served_on_their_own_places(
    posts: Gateway, database: Database, woken: list[tuple[UUID, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is slow but the machine.
    monkeypatch.setattr("functions.api.sender.serving.READERS_S", 30.0)
    # GIVEN readers, and a connection of the owner's, to whom nobody has posted what the thread says
    public = await _thread(database, is_public=True)
    await database.connection.execute("UPDATE threads SET reserved_seq = 3, last_seq = 3")
    readers = [await _reading(public) for _ in range(2)]
    own = await watching(public, account_id=OWNER)
    # THEN one sender is woken, which serves all of them
    assert not await unserved.all_served(thread_id=public, account_id=OWNER)
    assert woken == [(public, OWNER, False)]
    await _serving(public)
    assert [posts.seqs(one) for one in (own, *readers)] == [[1, 2, 3]] * 3
    assert await unserved.all_served(thread_id=public, account_id=OWNER)
    # WHEN only readers lack something THEN it is their own account's
    woken.clear()
    await _reading(public)
    assert not await unserved.all_served(thread_id=public, account_id=OWNER)
    assert woken == [(public, READER, True)]
    # AND nobody's, once the thread is private
    await database.connection.execute("UPDATE threads SET is_public = false")
    assert await unserved.all_served(thread_id=public, account_id=OWNER)


async def test_whose_thread_it_is_is_looked_after_although_what_strangers_wrote_cannot_be_read(
    posts: Gateway, database: Database, woken: list[tuple[UUID, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(unserved, "_LOOK_S", 1.0)
    monkeypatch.setattr(subscriptions, "of_everybody", silent)
    public, unwatched = [await _thread(database, is_public=True) for _ in range(2)]
    await database.connection.execute("UPDATE threads SET reserved_seq = 3, last_seq = 3")
    await watching(public, account_id=OWNER)
    assert not await unserved.all_served(thread_id=public, account_id=OWNER)
    assert woken == [(public, OWNER, False)]
    # Where nobody of the account lacks anything, nobody knows of the others.
    with pytest.raises(SubscriptionsUnavailableError):
        await unserved.all_served(thread_id=unwatched, account_id=OWNER)
