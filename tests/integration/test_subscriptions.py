"""Subscriptions on a real DynamoDB API."""

import time
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.aws.clients import dynamodb
from shared.stream import subscriptions
from shared.stream.subscriptions import LIFE_S, ConnectionRecord, Subscription

pytestmark = pytest.mark.usefixtures("subscriptions_table")

CONNECTION_ID = "R0oXAdfD0kwCH6w="


@pytest.fixture
def thread_id() -> UUID:
    return uuid4()


@pytest.fixture
def subscription(thread_id: UUID) -> Subscription:
    return Subscription(
        thread_id=thread_id,
        connection_id=CONNECTION_ID,
        account_id="account",
        subscription_id="subscription-1",
        channels=frozenset({"messages", "lifecycle"}),
        since=None,
    )


async def _of_thread(thread_id: UUID, account_id: str = "account") -> list[Subscription]:
    return list(await subscriptions.of_thread(thread_id, account_id=account_id))


@pytest.mark.parametrize("since", [None, 0, 42, 2**63 - 1])
async def test_a_subscription_survives_the_round_trip(subscription: Subscription, since: int | None) -> None:
    wanted = replace(subscription, since=since)
    await subscriptions.put(wanted)
    assert await _of_thread(wanted.thread_id) == [wanted]


async def test_a_connections_newer_subscription_takes_the_older_ones_place(subscription: Subscription) -> None:
    await subscriptions.put(replace(subscription, since=7))
    newer = replace(subscription, subscription_id="subscription-2", channels=frozenset({"values"}))
    await subscriptions.put(newer)
    assert await _of_thread(subscription.thread_id) == [newer]


async def test_every_connection_of_the_thread_is_found(subscription: Subscription) -> None:
    many = [replace(subscription, connection_id=f"connection-{number:02}=") for number in range(30)]
    for one in many:
        await subscriptions.put(one)
    await subscriptions.put(replace(subscription, thread_id=uuid4(), connection_id="elsewhere="))
    assert await _of_thread(subscription.thread_id) == many


async def test_a_foreign_accounts_connection_gets_nothing(subscription: Subscription) -> None:
    await subscriptions.put(subscription)
    await subscriptions.put(replace(subscription, connection_id="spy=", account_id="a stranger"))
    assert await _of_thread(subscription.thread_id) == [subscription]


async def test_a_connection_survives_the_round_trip(thread_id: UUID) -> None:
    record = ConnectionRecord(connection_id=f"{uuid4()}=", account_id="account", thread_id=thread_id)
    assert await subscriptions.get_connection(record.connection_id) is None
    await subscriptions.put_connection(record)
    assert await subscriptions.get_connection(record.connection_id) == record
    # It is no subscription.
    assert await _of_thread(thread_id) == []


async def test_a_connection_is_forgotten_with_its_subscription_and_twice_is_as_well(
    subscription: Subscription,
) -> None:
    mine = replace(subscription, connection_id=f"{uuid4()}=")
    record = ConnectionRecord(connection_id=mine.connection_id, account_id="account", thread_id=mine.thread_id)
    await subscriptions.put_connection(record)
    await subscriptions.put(mine)
    await subscriptions.put(subscription)
    for _ in range(2):
        await subscriptions.delete_connection(mine.connection_id)
        assert await subscriptions.get_connection(mine.connection_id) is None
        assert await _of_thread(mine.thread_id) == [subscription]


async def test_unsubscribing_leaves_the_connection_and_twice_is_as_well(subscription: Subscription) -> None:
    mine = replace(subscription, connection_id=f"{uuid4()}=")
    record = ConnectionRecord(connection_id=mine.connection_id, account_id="account", thread_id=mine.thread_id)
    await subscriptions.put_connection(record)
    await subscriptions.put(mine)
    for _ in range(2):
        await subscriptions.remove(thread_id=mine.thread_id, connection_id=mine.connection_id)
        assert await _of_thread(mine.thread_id) == []
    assert await subscriptions.get_connection(mine.connection_id) == record


async def test_items_expire_with_the_longest_life_of_a_connection(
    subscription: Subscription, subscriptions_table: str
) -> None:
    await subscriptions.put(subscription)
    client: Any = await dynamodb()
    key = {"thread_id": {"S": str(subscription.thread_id)}, "connection_id": {"S": CONNECTION_ID}}
    answer = await client.get_item(TableName=subscriptions_table, Key=key)
    assert float(answer["Item"]["expires_at"]["N"]) == pytest.approx(time.time() + LIFE_S, abs=60)
