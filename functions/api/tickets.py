"""Tickets: what a browser, which cannot set headers on a WebSocket, puts into its URL in place of a token.

A ticket is good for 30 seconds and for one connection; it says nothing by itself, and only its SHA-256 is kept.
"""

import hashlib
import secrets
import time
from typing import TYPE_CHECKING
from uuid import UUID

from functions.api.auth import Principal
from shared.aws.clients import dynamodb
from shared.domain import scopes_of
from shared.errors import UnauthenticatedError
from shared.settings import stream_settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

LIFE_S = 30

_TICKET = "ticket"


async def issue(caller: Principal) -> str:
    """A new ticket that stands for ``caller``.

    Raises:
        SubscriptionsUnavailableError: DynamoDB is away; there is no ticket that anybody knows.
    """
    ticket = secrets.token_urlsafe(32)
    await (await dynamodb()).put_item(
        TableName=stream_settings().subscriptions_table,
        Item={
            **_key(ticket),
            "account_id": {"S": caller.account_id},
            "credential_expires_at": {"N": str(caller.expires_at)},
            "scopes": {"S": " ".join(sorted(caller.scopes))},
            "key_id": {"S": str(caller.key_id or "")},
            "expires_at": {"N": str(int(time.time()) + LIFE_S)},
        },
    )
    return ticket


async def redeem(ticket: str) -> Principal:
    """Who the ticket stands for; it is used up, also if this raises.

    Raises:
        UnauthenticatedError: it was never issued, has expired, or was used.
        SubscriptionsUnavailableError: DynamoDB is away; whether the ticket is used up is not known.
    """
    # A deletion gives the item to one caller only, whoever else asks at the same time.
    answer = await (await dynamodb()).delete_item(
        TableName=stream_settings().subscriptions_table, Key=_key(ticket), ReturnValues="ALL_OLD"
    )
    item = answer.get("Attributes", {})
    # DynamoDB removes what has expired hours later.
    if not item or float(item["expires_at"].get("N", 0)) <= time.time():
        raise UnauthenticatedError("the ticket is not valid (any more): get a new one from POST /ws-tickets")
    key_id = item["key_id"].get("S", "")
    return Principal(
        account_id=item["account_id"].get("S", ""),
        expires_at=float(item["credential_expires_at"].get("N", 0)),
        scopes=scopes_of(item["scopes"].get("S", "")),
        key_id=UUID(key_id) if key_id else None,
    )


def _key(ticket: str) -> "dict[str, AttributeValueTypeDef]":
    digest = hashlib.sha256(ticket.encode()).hexdigest()
    return {"thread_id": {"S": f"{_TICKET}#{digest}"}, "connection_id": {"S": _TICKET}}
