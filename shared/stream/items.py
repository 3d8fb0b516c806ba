"""Items of the table of subscriptions, whatever they say."""

import time
from typing import TYPE_CHECKING

from shared.aws.clients import dynamodb
from shared.settings import stream_settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

    type Item = dict[str, AttributeValueTypeDef]


def key(thread: str, connection: str) -> "Item":
    """The key of an item."""
    return {"thread_id": {"S": thread}, "connection_id": {"S": connection}}


def lives(item: "Item") -> bool:
    """Whether an item has not expired: DynamoDB removes those that have hours later."""
    return number(item, "expires_at") > time.time()


def number(item: "Item", name: str) -> float:
    """An attribute that is a number; 0 if the item has none such."""
    return float(item.get(name, {}).get("N", 0))


def connection_key(connection_id: str, what: str = "connection") -> "Item":
    """The key of what is said of a connection: whose it is, or something else."""
    return key(f"connection#{connection_id}", what)


async def get(of: "Item") -> "Item | None":
    """The item with this key, read consistently. Raises SubscriptionsUnavailableError."""
    answer = await (await dynamodb()).get_item(
        TableName=stream_settings().subscriptions_table, Key=of, ConsistentRead=True
    )
    return answer.get("Item")
