"""A thread that is made private while others read it: what is said from then on reaches nobody else."""

import asyncio
import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.auth import Principal
from functions.api.http import messages as message_routes
from functions.api.http import thread_states
from functions.api.http import threads as thread_routes
from functions.api.sender import serving as sender_serving
from functions.api.sender.main import _serve
from shared import events
from shared.database import messages, threads, transaction
from shared.domain import ThreadLog
from shared.errors import NotFoundError, SubscriptionsUnavailableError
from shared.stream import audience, delivery, log, subscriptions
from shared.stream.delivery import Delivery
from shared.stream.filters import Filter
from shared.stream.subscriptions import ConnectionRecord
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.test_publicity import OWNER, _claimed, _ended, _publish
from tests.integration.waiting import until
from tests.integration.watchers import appended, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")

SECRET = "said in private"


@pytest.fixture(autouse=True)
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer holds for half a second."""
    monkeypatch.setattr(audience, "PUBLIC_S", 0.5)
    monkeypatch.setattr(delivery, "REFRESH_S", 0.1)
    monkeypatch.setattr(sender_serving, "_ASK_AGAIN_S", 0.1)


async def _make_private(thread_id: UUID) -> None:
    async with transaction() as taken:
        await threads.update(taken, thread_id=thread_id, account_id=OWNER, metadata={}, is_public=False)
        await messages.insert(
            taken,
            message_id=uuid4(),
            thread_id=thread_id,
            account_id=OWNER,
            run_number=1,
            type="user",
            content={"role": "user", "content": SECRET},
        )


async def _reader(thread_id: UUID) -> str:
    """A connection of another account that asks for everything; its id."""
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
    return record.connection_id


async def _serve_reader(thread_id: UUID) -> None:
    await _serve(thread_id, account_id="a reader", is_others=True, limit_s=60, function="the-sender")


async def test_who_reads_slowly_gets_no_state_from_afterwards(database: Database, posts: Gateway) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 3)
    state = events.number(events.values(thread_id, []), generation=claim.generation, seq=4)
    assert (await log.append(claim, [state], expected_seq=3, proved=True)).answer == "ok"
    await _ended(claim, last_seq=4)
    reader = await _reader(thread_id)
    # GIVEN a reader that has taken two events, and then nothing
    posts.closes_at = 2
    serving = asyncio.create_task(_serve_reader(thread_id))
    await until(lambda: len(posts.sent.get(reader, [])) == 2)
    # WHEN the thread is made private
    await _make_private(thread_id)
    # THEN whoever serves it ends by itself, long before its time does
    await asyncio.wait_for(serving, timeout=20)
    posts.open.set()
    assert SECRET not in json.dumps(posts.sent[reader])


async def test_who_cannot_be_asked_for_is_not_served_on_and_why_is_told(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    await appended(claim, 1, 3)
    await _ended(claim, last_seq=3)
    reader = await _reader(thread_id)
    posts.closes_at = 1
    serving = asyncio.create_task(_serve_reader(thread_id))
    await until(lambda: posts.sent.get(reader))

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(audience, "_public", broken)
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(serving, timeout=20)
    posts.open.set()


async def test_what_is_logged_after_it_was_asked_is_not_for_others(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    await _ended(await _claimed(database, thread_id), last_seq=0)
    reader, own = await _reader(thread_id), await watching(thread_id, account_id=OWNER)
    real, looked = sender_serving._last_logged, 0

    async def last_logged(thread_log: ThreadLog) -> int:
        nonlocal looked
        looked += 1
        if looked == 1:
            await _make_private(thread_id)
            await appended(await _claimed(database, thread_id), 2, 4)
        return await real(thread_log)

    monkeypatch.setattr(sender_serving, "_last_logged", last_logged)
    await _serve(thread_id, account_id=OWNER, limit_s=10, function="the-sender")
    assert 4 in posts.seqs(own)
    assert not {2, 3, 4} & set(posts.seqs(reader))


async def test_no_answer_is_none_for_long(database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    reader, own = await _reader(thread_id), await watching(thread_id, account_id=OWNER)
    serving = Delivery(claim)
    serving.start()
    await serving.offer(await appended(claim, 1, 2))
    await until(lambda: len(posts.sent.get(reader, [])) == len(posts.sent.get(own, [])) == 2)

    async def throttled(*_: Any, **__: Any) -> Any:
        raise SubscriptionsUnavailableError

    # WHEN who watches cannot be read, for longer than an answer holds
    with monkeypatch.context() as patch:
        patch.setattr(subscriptions, "_among", throttled)
        began = time.monotonic()
        await _make_private(thread_id)
        await until(lambda: time.monotonic() > began + 2 * audience.PUBLIC_S)
        # THEN the owner's are served on, and nobody else, who would have had the time
        for last in (5, 8, 11):
            await serving.offer(await appended(claim, last - 2, last))
            await until(lambda last=last: len(posts.sent[own]) == last)
    assert await serving.close(timeout_s=10)
    assert posts.seqs(reader) == [1, 2]


async def test_a_reader_goes_on_where_the_answer_was_late_and_the_thread_is_public_still(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    claim = await _claimed(database, thread_id)
    reader = await _reader(thread_id)
    serving = Delivery(claim)
    serving.start()
    await serving.offer(await appended(claim, 1, 2))
    await until(lambda: len(posts.sent.get(reader, [])) == 2)

    async def throttled(*_: Any, **__: Any) -> Any:
        raise SubscriptionsUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(subscriptions, "_among", throttled)
        began = time.monotonic()
        await until(lambda: time.monotonic() > began + 2 * audience.PUBLIC_S)
        await serving.offer(await appended(claim, 3, 5))
    await until(lambda: len(posts.sent[reader]) == 5)
    assert await serving.close(timeout_s=10)
    assert posts.seqs(reader) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("route", ["state", "history", "messages", "thread"])
async def test_a_route_answers_nothing_of_what_became_private_while_it_read(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _publish(thread_id)
    real, asked = threads.owner, 0

    async def owner(*given: Any, **more: Any) -> str | None:
        nonlocal asked
        found = await real(*given, **more)
        asked += 1
        if asked == 1:
            await _make_private(thread_id)
        return found

    monkeypatch.setattr(threads, "owner", owner)
    stranger = Principal(account_id="a reader", expires_at=2.0**32)
    with pytest.raises(NotFoundError):
        match route:
            case "state":
                await thread_states.get_thread_state(stranger, thread_id)
            case "history":
                await thread_states.get_thread_history(stranger, thread_id)
            case "messages":
                await message_routes.list_messages(stranger, thread_id)
            case _:
                await thread_routes.get_thread(stranger, thread_id)
