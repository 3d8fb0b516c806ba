"""Who watches which thread: DynamoDB, read consistently.

One table, two kinds of items:

- a connection: ``thread_id = "connection#<id>"``, ``connection_id = "connection"``; its account, and the thread it was
  opened for;
- a subscription: ``thread_id``, ``connection_id``; account, subscription id, filter, cursor.

Both expire with the longest life of a connection.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from shared.aws.clients import dynamodb
from shared.settings import stream_settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

# API Gateway ends a connection after two hours.
LIFE_S = 2 * 3600

_CONNECTION = "connection"


@dataclass(frozen=True, kw_only=True)
class ConnectionRecord:
    """An open connection: whose it is, and the thread that its URL named."""

    connection_id: str
    account_id: str
    thread_id: UUID


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What a connection wants of a thread. ``since``: events after this number; ``None``: from the active run on."""

    thread_id: UUID
    connection_id: str
    account_id: str
    subscription_id: str
    channels: frozenset[str]
    since: int | None


def _key(thread: str, connection: str) -> "dict[str, AttributeValueTypeDef]":
    return {"thread_id": {"S": thread}, "connection_id": {"S": connection}}


def _expiry() -> "dict[str, AttributeValueTypeDef]":
    return {"expires_at": {"N": str(int(time.time()) + LIFE_S)}}


def _subscription(item: "dict[str, AttributeValueTypeDef]") -> Subscription:
    text = {name: value["S"] for name, value in item.items() if "S" in value}
    since = item.get("since", {}).get("N")
    return Subscription(
        thread_id=UUID(text["thread_id"]),
        connection_id=text["connection_id"],
        account_id=text["account_id"],
        subscription_id=text["subscription_id"],
        channels=frozenset(item.get("channels", {}).get("SS", ())),
        since=None if since is None else int(since),
    )


async def put_connection(record: ConnectionRecord) -> None:
    """Remember an open connection."""
    await (await dynamodb()).put_item(
        TableName=stream_settings().subscriptions_table,
        Item={
            **_key(f"{_CONNECTION}#{record.connection_id}", _CONNECTION),
            "account_id": {"S": record.account_id},
            "for_thread_id": {"S": str(record.thread_id)},
            **_expiry(),
        },
    )


async def get_connection(connection_id: str) -> ConnectionRecord | None:
    """The connection, or ``None`` if it is not known (any more)."""
    answer = await (await dynamodb()).get_item(
        TableName=stream_settings().subscriptions_table,
        Key=_key(f"{_CONNECTION}#{connection_id}", _CONNECTION),
        ConsistentRead=True,
    )
    item = answer.get("Item")
    if item is None:
        return None
    return ConnectionRecord(
        connection_id=connection_id,
        account_id=item["account_id"].get("S", ""),
        thread_id=UUID(item["for_thread_id"].get("S", "")),
    )


async def delete_connection(connection_id: str) -> None:
    """Forget a connection and its subscription. Idempotent: disconnects are reported late, twice, or never."""
    record = await get_connection(connection_id)
    client = await dynamodb()
    table = stream_settings().subscriptions_table
    if record is not None:
        await client.delete_item(TableName=table, Key=_key(str(record.thread_id), connection_id))
    await client.delete_item(TableName=table, Key=_key(f"{_CONNECTION}#{connection_id}", _CONNECTION))


async def put(subscription: Subscription) -> None:
    """Subscribe, in place of what the connection was subscribed to on the thread before."""
    item: dict[str, AttributeValueTypeDef] = {
        **_key(str(subscription.thread_id), subscription.connection_id),
        "account_id": {"S": subscription.account_id},
        "subscription_id": {"S": subscription.subscription_id},
        "channels": {"SS": sorted(subscription.channels)},
        **_expiry(),
    }
    if subscription.since is not None:
        item["since"] = {"N": str(subscription.since)}
    await (await dynamodb()).put_item(TableName=stream_settings().subscriptions_table, Item=item)


async def remove(*, thread_id: UUID, connection_id: str) -> None:
    """Unsubscribe. Idempotent."""
    await (await dynamodb()).delete_item(
        TableName=stream_settings().subscriptions_table, Key=_key(str(thread_id), connection_id)
    )


async def of_thread(thread_id: UUID, *, account_id: str) -> Sequence[Subscription]:
    """The thread's subscriptions by connections of its account; those of any other account get nothing."""
    client = await dynamodb()
    pages = client.get_paginator("query").paginate(
        TableName=stream_settings().subscriptions_table,
        KeyConditionExpression="thread_id = :thread",
        ExpressionAttributeValues={":thread": {"S": str(thread_id)}},
        ConsistentRead=True,
    )
    found = [_subscription(item) async for page in pages for item in page["Items"]]
    return [subscription for subscription in found if subscription.account_id == account_id]
