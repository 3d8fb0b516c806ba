"""Subscriptions on a real DynamoDB API."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.aws.clients import dynamodb
from shared.errors import InvalidRequestError
from shared.stream import subscriptions
from shared.stream.filters import Filter
from shared.stream.subscriptions import LIFE_S, MOST_FILTERS, ConnectionRecord, Subscription

pytestmark = pytest.mark.usefixtures("subscriptions_table")


@pytest.fixture
def thread_id() -> UUID:
    return uuid4()


@pytest.fixture
def record(thread_id: UUID) -> ConnectionRecord:
    return _record(thread_id)


def _record(thread_id: UUID, **changes: Any) -> ConnectionRecord:
    fields: dict[str, Any] = {
        "connection_id": f"{uuid4()}=",
        "account_id": "account",
        "thread_id": thread_id,
        "credential_expires_at": 2**32,
        "begins_after": 5,
    }
    return ConnectionRecord(**fields | changes)


def _filter(*channels: str, **more: Any) -> Filter:
    return Filter(subscription_id=str(uuid4()), channels=frozenset(channels or {"messages"}), **more)


async def _of_thread(thread_id: UUID, account_id: str = "account") -> list[Subscription]:
    return list(await subscriptions.of_thread(thread_id, account_id=account_id))


async def _only(record: ConnectionRecord) -> Subscription:
    [found] = await _of_thread(record.thread_id)
    return found


@pytest.mark.parametrize(("since", "cursor"), [(None, 5), (0, 0), (42, 42), (2**63 - 1, 2**63 - 1)])
async def test_a_subscription_survives_the_round_trip(record: ConnectionRecord, since: int | None, cursor: int) -> None:
    wanted = _filter("messages", "custom:notes", namespaces=((), ("a", "b")), depth=3)
    await subscriptions.add(record, wanted, since=since)
    found = await _only(record)
    assert (found.connection_id, found.account_id) == (record.connection_id, "account")
    assert (found.filters, found.cursor) == ((wanted,), cursor)


async def test_what_a_connection_subscribes_to_adds_up_and_goes_one_by_one(record: ConnectionRecord) -> None:
    first, second = _filter("messages"), _filter("values")
    await subscriptions.add(record, first, since=7)
    before = await _only(record)
    await subscriptions.add(record, second, since=9)
    both = await _only(record)
    assert (both.filters, both.cursor, both.version) == ((first, second), 7, before.version + 1)
    await subscriptions.remove(record, first.subscription_id)
    assert (await _only(record)).filters == (second,)
    for _ in range(2):
        await subscriptions.remove(record, second.subscription_id)
        assert await _of_thread(record.thread_id) == []


async def test_who_subscribes_to_what_came_before_gets_it(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=100)
    await subscriptions.add(record, _filter(), since=20)
    assert (await _only(record)).cursor == 20
    await subscriptions.add(record, _filter(), since=None)
    assert (await _only(record)).cursor == 5


async def test_many_subscriptions_at_once_are_all_there_and_too_many_are_refused(record: ConnectionRecord) -> None:
    many = [_filter() for _ in range(5)]
    await asyncio.gather(*(subscriptions.add(record, one, since=0) for one in many))
    assert set((await _only(record)).filters) == set(many)
    for _ in range(MOST_FILTERS - len(many)):
        await subscriptions.add(record, _filter(), since=0)
    with pytest.raises(InvalidRequestError, match="32 subscriptions already"):
        await subscriptions.add(record, _filter(), since=0)


async def test_every_connection_of_the_thread_is_found_and_no_foreign_accounts(thread_id: UUID) -> None:
    mine = [_record(thread_id) for _ in range(30)]
    strangers = [_record(thread_id, account_id="a stranger"), _record(uuid4())]
    for one in (*mine, *strangers):
        await subscriptions.add(one, _filter(), since=0)
    assert {found.connection_id for found in await _of_thread(thread_id)} == {one.connection_id for one in mine}


async def test_one_sender_at_a_time(record: ConnectionRecord, subscriptions_table: str) -> None:
    await subscriptions.add(record, _filter(), since=0)
    found = await _only(record)
    assert await subscriptions.claim(found, sender="a") is not None
    assert await subscriptions.claim(found, sender="b") is None
    assert await subscriptions.keep(found, sender="a", cursor=3)
    assert not await subscriptions.keep(found, sender="b", cursor=4)
    assert not await subscriptions.release(found, sender="b", cursor=4)
    assert await subscriptions.release(found, sender="a", cursor=5)
    taken = await subscriptions.claim(found, sender="b")
    assert taken is not None
    assert taken.cursor == 5
    # WHEN its lease has ended
    client: Any = await dynamodb()
    await client.update_item(
        TableName=subscriptions_table,
        Key={"thread_id": {"S": str(record.thread_id)}, "connection_id": {"S": record.connection_id}},
        UpdateExpression="SET sender_until = :now",
        ExpressionAttributeValues={":now": {"N": str(int(time.time() * 1000) - 1)}},
    )
    # THEN it is anybody's
    assert await subscriptions.claim(found, sender="c") is not None
    assert not await subscriptions.keep(found, sender="b", cursor=6)


async def test_a_sender_learns_that_its_subscription_has_changed(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=3)
    found = await _only(record)
    await subscriptions.claim(found, sender="a")
    await subscriptions.add(record, _filter("values"), since=0)
    assert not await subscriptions.keep(found, sender="a", cursor=4)
    assert not await subscriptions.release(found, sender="a", cursor=4)
    again = await subscriptions.claim(found, sender="a")
    assert again is not None
    assert (len(again.filters), again.cursor) == (2, 0)
    assert await subscriptions.keep(again, sender="a", cursor=1)


async def test_a_subscription_that_is_gone_has_no_sender(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=3)
    found = await _only(record)
    await subscriptions.delete(found)
    assert await subscriptions.claim(found, sender="a") is None
    assert not await subscriptions.keep(found, sender="a", cursor=4)
    assert await _of_thread(record.thread_id) == []


async def test_a_connection_survives_the_round_trip(record: ConnectionRecord) -> None:
    assert await subscriptions.get_connection(record.connection_id) is None
    await subscriptions.put_connection(record)
    assert await subscriptions.get_connection(record.connection_id) == record
    # It is no subscription.
    assert await _of_thread(record.thread_id) == []


async def test_a_connection_is_forgotten_with_what_it_watches_and_twice_is_as_well(record: ConnectionRecord) -> None:
    other = _record(record.thread_id)
    await subscriptions.put_connection(record)
    for one in (record, other):
        await subscriptions.add(one, _filter(), since=0)
    for _ in range(2):
        await subscriptions.delete_connection(record.connection_id)
        assert await subscriptions.get_connection(record.connection_id) is None
        assert (await _only(record)).connection_id == other.connection_id


async def test_what_a_credential_has_opened_ends_with_it(thread_id: UUID) -> None:
    expired = _record(thread_id, credential_expires_at=time.time() - 1)
    await subscriptions.put_connection(expired)
    await subscriptions.add(expired, _filter(), since=0)
    assert await subscriptions.get_connection(expired.connection_id) is None
    assert await _of_thread(thread_id) == []


async def test_items_expire_with_the_longest_life_of_a_connection(record: ConnectionRecord) -> None:
    await subscriptions.add(record, _filter(), since=0)
    assert (await _only(record)).expires_at == pytest.approx(time.time() + LIFE_S, abs=60)
