"""An account's share of the sender function: more of its threads wait for whoever serves the others."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from functions.api.sender.main import _serve
from shared.database import Connection, waits
from shared.errors import SubscriptionsUnavailableError
from shared.stream import subscriptions, wake
from shared.stream.subscriptions import Subscription
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.waiting import until
from tests.integration.watchers import ACCOUNT, appended, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table")


async def _served(thread_id: UUID) -> None:
    await _serve(thread_id, account_id=ACCOUNT, limit_s=30, function="the-sender")


async def test_an_account_has_its_share_of_the_sender_and_what_waits_is_served_by_whoever_has_it(
    posts: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(**_: Any) -> None:
        raise AssertionError("what waits has been served")

    monkeypatch.setattr(wake, "sender", nobody)
    await database.connection.execute("UPDATE plans SET max_senders = 1")
    threads = [await database.new_thread(ACCOUNT) for _ in range(4)]
    watchers: list[str] = []
    for one in threads:
        await appended(await database.log(one), 1, 3)
        watchers.append(await watching(one))
    # GIVEN a sender that is at it
    posts.open.clear()
    serving = asyncio.create_task(_served(threads[0]))
    await until(lambda: posts.posting.get(watchers[0]))
    # WHEN others of the account are called THEN they hold nothing, and neither is their call lost
    for one in threads[1:]:
        await _served(one)
    assert not serving.done()
    assert [posts.posting.get(one, 0) for one in watchers[1:]] == [0, 0, 0]
    posts.open.set()
    await serving
    assert [posts.seqs(one) for one in watchers] == [[1, 2, 3]] * 4
    assert (await database.count("sender_calls"), await database.count("waits")) == (0, 0)


async def test_another_accounts_sender_does_not_wait(posts: Gateway, database: Database) -> None:
    await database.connection.execute("UPDATE plans SET max_senders = 1")
    await database.connection.execute(
        "INSERT INTO waits VALUES ('other', 'sender', 1, gen_random_uuid(), clock_timestamp() + interval '1 hour')"
    )
    thread_id = await database.new_thread(ACCOUNT)
    await appended(await database.log(thread_id), 1, 3)
    connection_id = await watching(thread_id)
    await _served(thread_id)
    assert posts.seqs(connection_id) == [1, 2, 3]


async def test_a_call_that_is_made_as_the_last_one_is_looked_for_is_not_lost(
    posts: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    del posts
    woken: list[UUID] = []

    async def wake_sender(
        *, thread_id: UUID, account_id: str, is_others: bool = False, function: str | None = None
    ) -> None:
        del account_id, function
        woken.append(thread_id)

    monkeypatch.setattr(wake, "sender", wake_sender)
    await database.connection.execute("UPDATE plans SET max_senders = 1")
    first, second = [await database.new_thread(ACCOUNT) for _ in range(2)]
    give_back = waits.give_back

    async def late(taken: Connection, place: waits.Place) -> None:
        # Its holder has looked for the last time, and has the place still.
        await _served(second)
        await give_back(taken, place)

    monkeypatch.setattr(waits, "give_back", late)
    await _served(first)
    assert woken == [second]


async def test_a_thread_that_cannot_be_served_keeps_no_other_waiting_and_is_not_tried_over_and_over(
    posts: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN threads that wait, of which one can be served no more than the one that a sender is invoked for
    first, bad, *good = [await database.new_thread(ACCOUNT) for _ in range(5)]
    watchers = {one: await watching(one) for one in (first, bad, *good)}
    for one in watchers:
        await appended(await database.log(one), 1, 3)
        await database.connection.execute("INSERT INTO sender_calls VALUES ($1, $2)", ACCOUNT, one)
    await database.connection.execute("DELETE FROM sender_calls WHERE thread_id = $1", first)
    tried: list[UUID] = []
    of_account = subscriptions.of_account

    async def refuse(thread_id: UUID, *, account_id: str) -> Sequence[Subscription]:
        tried.append(thread_id)
        if thread_id in {first, bad}:
            raise SubscriptionsUnavailableError
        return await of_account(thread_id, account_id=account_id)

    monkeypatch.setattr(subscriptions, "of_account", refuse)
    # WHEN it is invoked THEN it fails, as Lambda has to know, and has served all others before
    with pytest.raises(SubscriptionsUnavailableError):
        await _served(first)
    assert [posts.seqs(watchers[one]) for one in good] == [[1, 2, 3]] * 3
    # AND each was tried once
    assert sorted(tried) == sorted(watchers)
    assert (await database.count("sender_calls"), await database.count("waits")) == (0, 0)


async def test_whoever_fails_calls_the_next_one_for_what_came_meanwhile(
    posts: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    del posts
    first, second = [await database.new_thread(ACCOUNT) for _ in range(2)]
    woken: list[UUID] = []

    async def wake_sender(*, thread_id: UUID, **_: Any) -> None:
        woken.append(thread_id)

    async def refuse(*_: Any, **__: Any) -> Any:
        # Its time is over with that, and another thread waits.
        await database.connection.execute("INSERT INTO sender_calls VALUES ($1, $2)", ACCOUNT, second)
        raise SubscriptionsUnavailableError

    monkeypatch.setattr(wake, "sender", wake_sender)
    monkeypatch.setattr(subscriptions, "of_account", refuse)
    with pytest.raises(SubscriptionsUnavailableError):
        await _serve(first, account_id=ACCOUNT, limit_s=0, function="the-sender")
    assert woken == [second]
