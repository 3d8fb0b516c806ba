"""Connections that have to end: their credential has ended, or was revoked, or they go on although they are refused.

First nothing is posted to a connection and nothing that it says is done any more; it stays known, so that what it sends
counts against its account's rate, and it is one of the account's connections. Then the sender function has the gateway
close it, and only then it is forgotten (:mod:`shared.stream.hang_up`). ``thread_id = "connection#<id>"``,
``connection_id = "closing"`` is the item of whoever has that begun: a connection that sends on meanwhile wakes nobody.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from shared.aws.clients import dynamodb
from shared.aws.faults import RefusedError
from shared.settings import stream_settings
from shared.stream import items, subscriptions, wake

# Somebody who was woken has closed it by then, or Lambda has invoked him again.
_CLOSING_S = 60


async def end(connection_ids: Sequence[str], *, last_frame: str | None = None) -> bool:
    """Silence connections and have them closed, soon, ``last_frame`` before; each is closed by one at a time.

    False if nobody was woken for it: others close them already, or nobody can be woken.

    Raises:
        SubscriptionsUnavailableError: not all are silenced; those that are, are closed.
    """
    done = await asyncio.gather(*map(_begin, connection_ids), return_exceptions=True)
    closed = [one for one, is_first in zip(connection_ids, done, strict=True) if is_first is True]
    was_woken = bool(closed) and await wake.close(closed, last_frame=last_frame)
    for error in done:
        if isinstance(error, BaseException):
            raise error
    return was_woken


async def silence(connection_id: str) -> None:
    """From now on nothing is posted to the connection, and nothing that it says is done. Idempotent.

    Raises SubscriptionsUnavailableError.
    """
    client = await dynamodb()
    table = stream_settings().subscriptions_table
    with suppress(RefusedError):  # it is not known
        answer = await client.update_item(
            TableName=table,
            Key=items.connection_key(connection_id),
            UpdateExpression="SET is_closing = :yes",
            ConditionExpression="attribute_exists(account_id)",
            ExpressionAttributeValues={":yes": {"BOOL": True}},
            ReturnValues="ALL_NEW",
        )
        record = subscriptions.connection_of_item(connection_id, answer.get("Attributes", {}))
        await client.delete_item(TableName=table, Key=items.key(record.audience, connection_id))


async def _begin(connection_id: str) -> bool:
    """Silence it; true for whoever is to have it closed: one in a minute."""
    await silence(connection_id)
    now = int(time.time())
    try:
        await (await dynamodb()).put_item(
            TableName=stream_settings().subscriptions_table,
            Item={
                **items.connection_key(connection_id, "closing"),
                "expires_at": {"N": str(now + _CLOSING_S)},
            },
            ConditionExpression="attribute_not_exists(connection_id) OR expires_at <= :now",
            ExpressionAttributeValues={":now": {"N": str(now)}},
        )
    except RefusedError:
        return False
    return True
