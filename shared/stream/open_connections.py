"""How many connections an account has open: an item for each in the table of subscriptions, read consistently.

``thread_id = "open#<hash of the account>"``, ``connection_id``. It goes when the connection's end is reported, by the
gateway or to whoever posts to it, and otherwise expires with the longest life of a connection or its credential: a
connection whose end nobody hears of counts until then, and no longer.
"""

import hashlib
import time
from typing import TYPE_CHECKING

from shared.aws.clients import dynamodb
from shared.errors import LimitExceededError
from shared.settings import stream_settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

    type Item = dict[str, AttributeValueTypeDef]


async def add(connection_id: str, *, account_id: str, expires_at: int, most: int) -> None:
    """Count an open connection; ``expires_at`` (epoch, s).

    It is written before it is counted: of several at once some may be refused that might have been let in, but never
    is there one too many.

    Raises:
        LimitExceededError: it is one more than ``most``. It is not counted.
    """
    client = await dynamodb()
    table = stream_settings().subscriptions_table
    await client.put_item(
        TableName=table, Item={**_key(connection_id, account_id), "expires_at": {"N": str(expires_at)}}
    )
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="thread_id = :account",
        # DynamoDB removes what has expired hours later.
        FilterExpression="expires_at > :now",
        ExpressionAttributeValues={":account": {"S": _partition(account_id)}, ":now": {"N": str(int(time.time()))}},
        Select="COUNT",
        ConsistentRead=True,
    )
    found = sum([page["Count"] async for page in pages])
    if found > most:
        await remove(connection_id, account_id=account_id)
        raise LimitExceededError(
            f"this account has {most} connections open, which is all that its plan allows: close one, or follow several"
            " threads one after the other",
            detail={"limit": most},
        )


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
