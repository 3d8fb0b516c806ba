"""Which connections an account has open: an item for each in the table of subscriptions, read consistently.

``thread_id = "open#<hash of the account>"``, ``connection_id``. It goes when the connection's end is reported, by the
gateway or to whoever posts to it, and otherwise expires with the longest life of a connection: one whose end nobody
hears of counts until then, and no longer. That its credential has ended is no end of it.
"""

import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from shared.aws.clients import dynamodb
from shared.errors import LimitExceededError
from shared.settings import stream_settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

    from shared.stream.subscriptions import ConnectionRecord

    type Item = dict[str, AttributeValueTypeDef]


async def add(record: "ConnectionRecord", *, most: int | None) -> None:
    """Count an open connection; ``most``: as many as the account may have, ``None``: any number.

    It is written before it is counted: of several at once some may be refused that might have been let in, but never
    is there one too many.

    Raises:
        LimitExceededError: it is one more than ``most``. It is not counted.
    """
    client = await dynamodb()
    table = stream_settings().subscriptions_table
    await client.put_item(
        TableName=table,
        Item={
            **_key(record.connection_id, record.account_id),
            "key_id": {"S": str(record.key_id or "")},
            "good_until": {"N": str(record.expires_at)},
            "expires_at": {"N": str(record.ends_at)},
        },
    )
    if most is None:
        return
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="thread_id = :account",
        # DynamoDB removes what has expired hours later.
        FilterExpression="expires_at > :now",
        ExpressionAttributeValues={
            ":account": {"S": _partition(record.account_id)},
            ":now": {"N": str(int(time.time()))},
        },
        Select="COUNT",
        ConsistentRead=True,
    )
    found = sum([page["Count"] async for page in pages])
    if found > most:
        await remove(record.connection_id, account_id=record.account_id)
        raise LimitExceededError(
            f"this account has {most} connections open, which is all that its plan allows: close one, or follow several"
            " threads one after the other",
            detail={"limit": most},
        )


async def of_key(key_id: UUID, *, account_id: str) -> Sequence[str]:
    """The ids of the account's connections that were opened with an API key."""
    return await _those(account_id, "key_id = :key", {":key": {"S": str(key_id)}})


async def over(account_id: str) -> Sequence[str]:
    """The ids of the account's connections that are open although their credential has ended."""
    now: Item = {":now": {"N": str(int(time.time()))}}
    return await _those(account_id, "good_until <= :now AND expires_at > :now", now)


async def _those(account_id: str, which: str, values: "Item") -> Sequence[str]:
    pages = (
        (await dynamodb())
        .get_paginator("query")
        .paginate(
            TableName=stream_settings().subscriptions_table,
            KeyConditionExpression="thread_id = :account",
            FilterExpression=which,
            ExpressionAttributeValues={":account": {"S": _partition(account_id)}, **values},
            ConsistentRead=True,
        )
    )
    return [item["connection_id"].get("S", "") async for page in pages for item in page["Items"]]


async def remove(connection_id: str, *, account_id: str) -> None:
    """A connection is not open any more. Idempotent."""
    await (await dynamodb()).delete_item(
        TableName=stream_settings().subscriptions_table, Key=_key(connection_id, account_id)
    )


def _partition(account_id: str) -> str:
    # An account id is anything of any length.
    return f"open#{hashlib.sha256(account_id.encode()).hexdigest()[:32]}"


def _key(connection_id: str, account_id: str) -> "Item":
    return {"thread_id": {"S": _partition(account_id)}, "connection_id": {"S": connection_id}}
