"""A subscriber asks for more, from further back, while its sender reads or tells something: it gets all of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from functions.api.sender.serving import Replay
from shared.events import Logged
from shared.stream import log, subscriptions
from shared.stream.filters import Filter
from shared.stream.redis_client import redis
from shared.stream.sender import Sender
from tests.integration.waiting import until
from tests.integration.watched_thread import CHANNELS, WatchedThread, appender, says

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")

MORE = Filter(subscription_id="more", channels=CHANNELS)


async def _sending(thread: WatchedThread, connection_id: str) -> Sender:
    [found] = await subscriptions.of_account(thread.thread_id, account_id=thread.account_id)
    assert found.connection_id == connection_id
    return Sender(found, Replay(thread.log, newest_seq=30))


async def _wants_everything(thread: WatchedThread, sending: Sender) -> None:
    """The subscriber wants the thread from its beginning, and the sender has seen that."""
    [found] = await subscriptions.of_account(thread.thread_id, account_id=thread.account_id)
    record = await subscriptions.get_connection(found.connection_id)
    assert record is not None
    moves = sending._moves
    await subscriptions.add(record, MORE, since=0, generation=thread.log.generation)
    [changed] = await subscriptions.of_account(thread.thread_id, account_id=thread.account_id)
    sending.change(changed)
    await until(lambda: sending._moves > moves)


async def test_what_was_read_before_the_cursor_was_moved_back_is_read_again(
    watched_thread: WatchedThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = watched_thread
    await says(appender(await thread.claimed()), 30)
    connection_id = await thread.watched(since=20)
    sending = await _sending(thread, connection_id)
    read, reads = log.read_some, list[int]()

    async def moved_after(*args: Any, **options: Any) -> Sequence[Logged]:
        found = await read(*args, **options)
        reads.append(options["after_seq"])
        if len(reads) == 1:
            await _wants_everything(thread, sending)
        return found

    monkeypatch.setattr(log, "read_some", moved_after)
    assert await sending.run()
    assert reads[:2] == [20, 0]
    assert thread.seen(connection_id) == list(range(1, 31))


async def test_what_is_declared_while_the_cursor_is_moved_back_is_declared_from_there(
    watched_thread: WatchedThread,
) -> None:
    thread = watched_thread
    await says(appender(await thread.claimed()), 30)
    await redis().delete(*log._keys(thread.log.generation))
    connection_id = await thread.watched(since=20)
    sending = await _sending(thread, connection_id)
    # GIVEN a gap that is on its way
    thread.posts.open.clear()
    running = asyncio.create_task(sending.run())
    await until(_posting(thread, connection_id))
    await _wants_everything(thread, sending)
    thread.posts.open.set()
    assert await running
    assert thread.declared(connection_id) == set(range(1, 31))
    [kept] = await subscriptions.of_account(thread.thread_id, account_id=thread.account_id)
    assert kept.cursor == 30


def _posting(thread: WatchedThread, connection_id: str) -> Callable[[], int]:
    return lambda: thread.posts.posting.get(connection_id, 0)
