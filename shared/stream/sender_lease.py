"""Who posts to a connection: the holder of its subscription's sender lease, and nobody else.

Every function raises SubscriptionsUnavailableError while DynamoDB is away, slow, or refuses.
"""

import time
from typing import Any
from uuid import UUID

from shared.aws.clients import dynamodb
from shared.aws.faults import RefusedError
from shared.settings import stream_settings
from shared.stream import items, subscriptions
from shared.stream.subscriptions import Subscription

SENDER_LEASE_S = 10.0


async def claim(subscription: Subscription, *, sender: str, generation: UUID) -> Subscription | None:
    """Become the one who posts to it, for ten seconds; as it is then, ``None`` if somebody else is, or it is gone.

    ``generation``: of the log that is posted: from now on its cursor is a place in that one, and in no other.
    """
    return await _as_sender(
        subscription,
        "SET sender = :me, sender_until = :until, generation = :generation",
        "attribute_exists(version) AND (attribute_not_exists(sender) OR sender = :me OR sender_until < :now)"
        " AND (attribute_not_exists(generation) OR generation = :generation)",
        {
            ":me": {"S": sender},
            ":until": {"N": _until()},
            ":now": {"N": str(_now_ms())},
            ":generation": {"S": str(generation)},
        },
    )


async def keep(subscription: Subscription, *, sender: str, cursor: int) -> bool:
    """Write the cursor back and renew the lease; False if it is somebody else's, or the subscription has changed."""
    kept = await _as_sender(
        subscription,
        "SET #cursor = :cursor, sender_until = :until",
        "sender = :me AND version = :version",
        {
            ":me": {"S": sender},
            ":until": {"N": _until()},
            ":version": {"N": str(subscription.version)},
            ":cursor": {"N": str(cursor)},
        },
        {"#cursor": "cursor"},
    )
    return kept is not None


async def note_announced(subscription: Subscription, *, sender: str) -> None:
    """Its end has been announced by the holder of the lease; by nobody again."""
    await _as_sender(subscription, "REMOVE announce_at", "sender = :me", {":me": {"S": sender}})


async def release(subscription: Subscription, *, sender: str, cursor: int) -> bool:
    """Write the cursor back and end the lease; False if the subscription has changed: then the lease stands."""
    released = await _as_sender(
        subscription,
        "SET #cursor = :cursor REMOVE sender, sender_until",
        "sender = :me AND version = :version",
        {":me": {"S": sender}, ":version": {"N": str(subscription.version)}, ":cursor": {"N": str(cursor)}},
        {"#cursor": "cursor"},
    )
    return released is not None


async def _as_sender(
    subscription: Subscription,
    update: str,
    condition: str,
    values: "subscriptions.Item",
    names: dict[str, str] | None = None,
) -> Subscription | None:
    options: dict[str, Any] = {} if names is None else {"ExpressionAttributeNames": names}
    try:
        answer = await (await dynamodb()).update_item(
            TableName=stream_settings().subscriptions_table,
            Key=items.key(subscription.audience, subscription.connection_id),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
            **options,
        )
    except RefusedError:
        return None
    return subscriptions.of_item(answer["Attributes"])


def _now_ms() -> int:
    return int(time.time() * 1000)


def _until() -> str:
    return str(_now_ms() + int(SENDER_LEASE_S * 1000))
