"""Who watches which thread: DynamoDB, read consistently.

One table, two kinds of items (others are the API's tickets, and those of ``open_connections`` and ``closing``):

- a connection: ``thread_id = "connection#<id>"``, ``connection_id = "connection"``; its account, the thread it was
  opened for, the event number it begins after;
- what it watches: ``thread_id = "<thread>#account#<account>"`` if the thread is its account's, ``"<thread>#public"`` if
  not, so that nothing is read but what was written by who could see the thread; ``connection_id``; account, its reader
  if that is another one, its filters, ``generation`` of the log, if there was one, ``cursor`` (the number of the last
  event considered for it), ``version`` (raised whenever the filters or, by a subscriber, the cursor change), and who
  posts to it: ``sender`` until ``sender_until`` (epoch, ms). **Only the holder of that lease posts.**

What is watched expires with the credential that the connection was opened with, or with the longest life of one; the
connection with that: it is open until the gateway has closed it, and somebody's. Every function here and in
``open_connections`` raises SubscriptionsUnavailableError while DynamoDB is away, slow, or refuses.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared.aws.clients import dynamodb
from shared.aws.faults import RefusedError
from shared.domain import SCOPES, Scope, scopes_of
from shared.errors import InvalidRequestError
from shared.settings import stream_settings
from shared.stream import items, open_connections
from shared.stream.filters import Filter, require_room, stored

if TYPE_CHECKING:
    from shared.stream.items import Item

# API Gateway ends a connection after two hours.
LIFE_S = 2 * 3600
# The end of a connection is announced so long before it, or at the half of its life; clients ping every five minutes.
ANNOUNCED_S = 600

# Subscribers of one connection that change their filters at the same instant.
_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class ConnectionRecord:
    """An open connection: whose it is, the thread that its URL named, and how long it is that account's (epoch, s).

    ``opened_at``: epoch, s. ``begins_after``: the number of the last event before it, for subscriptions that do not say
    since when, in the log of ``generation``, if there was one.
    ``max_subscriptions``: what the account's plan allowed when it was opened.
    ``owner_id``: whose thread it is, if it is a public one of another account, whose events it gets.
    ``scopes``: what the credential allows that it was opened with; ``key_id``: if that was an API key.
    ``is_closing``: nothing that it says is done any more; it is known until the gateway has closed it.
    """

    connection_id: str
    account_id: str
    thread_id: UUID
    opened_at: float
    credential_expires_at: float
    scopes: frozenset[Scope] = SCOPES
    key_id: UUID | None = None
    begins_after: int = 0
    generation: UUID | None = None
    max_subscriptions: int = 32
    owner_id: str | None = None
    is_closing: bool = False

    @property
    def thread_account_id(self) -> str:
        """The account that the thread is looked for in."""
        return self.account_id if self.owner_id is None else self.owner_id

    def begins_in(self, generation: UUID | None) -> int:
        """The number that it begins after in the log of ``generation``; in another one than its own, the beginning."""
        return self.begins_after if self.generation == generation else 0

    @property
    def audience(self) -> str:
        """Whom it is found among."""
        return _of_account(self.thread_id, self.account_id) if self.owner_id is None else _of_everybody(self.thread_id)

    @property
    def expires_at(self) -> int:
        """When its two hours or its credential end: beyond it nobody may see or do anything through it (epoch, s)."""
        return int(min(self.opened_at + LIFE_S, self.credential_expires_at))

    @property
    def ends_at(self) -> int:
        """When the gateway ends it, if nobody does before: it may be open until then (epoch, s)."""
        return int(self.opened_at + LIFE_S)

    @property
    def is_over(self) -> bool:
        """Whether nothing that it says is done any more."""
        return self.is_closing or time.time() >= self.expires_at

    @property
    def announce_at(self) -> int:
        """From when on its end is announced (epoch, s)."""
        return int(self.expires_at - min(ANNOUNCED_S, (self.expires_at - self.opened_at) / 2))


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What a connection watches of a thread, all its subscriptions together.

    ``account_id``: the thread's; ``reader_id``: the connection's, if that is another one. ``sender_until``: until when
    somebody has the lease to post to it (epoch, s), as it was read. ``public_after``: the number
    up to which events are not for such a reader, and ``public_until``: how long (``time.monotonic``) any are, unless
    PostgreSQL is asked again (:mod:`shared.stream.audience`).
    """

    thread_id: UUID
    connection_id: str
    account_id: str
    filters: tuple[Filter, ...]
    cursor: int
    version: int
    expires_at: int
    announce_at: int | None = None
    """From when on the end is announced (epoch, s); ``None`` if it was."""
    reader_id: str | None = None
    generation: UUID | None = None
    sender_until: float = field(default=0.0, compare=False)
    public_after: int = 0
    public_until: float = 0.0

    @property
    def served_id(self) -> str:
        """The account that its connection is of."""
        return self.reader_id or self.account_id

    @property
    def is_in_doubt(self) -> bool:
        """Whether the thread may be private by now, to a reader of another account."""
        return self.reader_id is not None and time.monotonic() >= self.public_until

    @property
    def audience(self) -> str:
        """Whom it is found among."""
        is_own = self.reader_id is None
        return _of_account(self.thread_id, self.account_id) if is_own else _of_everybody(self.thread_id)

    @property
    def is_posted_to(self) -> bool:
        """Whether somebody has the lease to post to it."""
        return time.time() < self.sender_until

    @property
    def is_over(self) -> bool:
        """Whether its connection has no right to anything any more."""
        return time.time() >= self.expires_at


def _of_account(thread_id: UUID, account_id: str) -> str:
    return f"{thread_id}#account#{account_id}"


def _of_everybody(thread_id: UUID) -> str:
    return f"{thread_id}#public"


def of_item(item: "Item") -> Subscription:
    """The subscription that an item holds."""
    text = {name: value["S"] for name, value in item.items() if "S" in value}
    return Subscription(
        thread_id=UUID(text["thread_id"].partition("#")[0]),
        connection_id=text["connection_id"],
        account_id=text["account_id"],
        filters=tuple(map(Filter.of, json.loads(text["filters"]))),
        # Exact: a float has 53 bits.
        cursor=int(item["cursor"].get("N", 0)),
        version=int(item["version"].get("N", 0)),
        expires_at=int(items.number(item, "expires_at")),
        announce_at=int(items.number(item, "announce_at")) if "announce_at" in item else None,
        reader_id=text.get("reader_id"),
        generation=UUID(text["generation"]) if "generation" in text else None,
        sender_until=items.number(item, "sender_until") / 1000,
    )


async def put_connection(record: ConnectionRecord) -> None:
    """Remember an open connection."""
    await (await dynamodb()).put_item(
        TableName=stream_settings().subscriptions_table,
        Item={
            **items.connection_key(record.connection_id),
            "account_id": {"S": record.account_id},
            "for_thread_id": {"S": str(record.thread_id)},
            "opened_at": {"N": str(record.opened_at)},
            "credential_expires_at": {"N": str(record.credential_expires_at)},
            "scopes": {"S": " ".join(sorted(record.scopes))},
            "key_id": {"S": str(record.key_id or "")},
            "begins_after": {"N": str(record.begins_after)},
            "max_subscriptions": {"N": str(record.max_subscriptions)},
            **({} if record.owner_id is None else {"owner_id": {"S": record.owner_id}}),
            **({} if record.generation is None else {"generation": {"S": str(record.generation)}}),
            "expires_at": {"N": str(record.ends_at)},
        },
    )


async def get_connection(connection_id: str) -> ConnectionRecord | None:
    """The connection, or ``None`` if it is not known (any more). It may be over, and open still."""
    item = await items.get(items.connection_key(connection_id))
    return None if item is None or not items.lives(item) else connection_of_item(connection_id, item)


def connection_of_item(connection_id: str, item: "Item") -> ConnectionRecord:
    """The connection that an item holds."""
    key_id = item["key_id"].get("S", "")
    return ConnectionRecord(
        connection_id=connection_id,
        account_id=item["account_id"].get("S", ""),
        thread_id=UUID(item["for_thread_id"].get("S", "")),
        opened_at=items.number(item, "opened_at"),
        credential_expires_at=items.number(item, "credential_expires_at"),
        scopes=scopes_of(item["scopes"].get("S", "")),
        key_id=UUID(key_id) if key_id else None,
        begins_after=int(item["begins_after"].get("N", 0)),
        # A connection outlives a deployment: one that was opened before plans said how many has the default.
        max_subscriptions=int(items.number(item, "max_subscriptions")) or ConnectionRecord.max_subscriptions,
        owner_id=item["owner_id"].get("S") if "owner_id" in item else None,
        generation=UUID(item["generation"].get("S", "")) if "generation" in item else None,
        is_closing="is_closing" in item,
    )


async def delete_connection(connection_id: str) -> None:
    """Forget a connection and all that is its. Idempotent: disconnects are reported late, twice, or never."""
    item = await items.get(items.connection_key(connection_id))
    client = await dynamodb()
    table = stream_settings().subscriptions_table
    if item is not None:
        record = connection_of_item(connection_id, item)
        await client.delete_item(TableName=table, Key=items.key(record.audience, connection_id))
        await open_connections.remove(connection_id, account_id=record.account_id)
    await client.delete_item(TableName=table, Key=items.connection_key(connection_id))


async def add(record: ConnectionRecord, new: Filter, *, since: int | None, generation: UUID | None = None) -> None:
    """Subscribe a connection to more of its thread, from ``since`` on, or from its beginning.

    ``generation``: of the thread's log; ``None`` while there is no such thread: whichever is made first is meant. A
    place in the log of a thread that was deleted since is none in this one, which is told from its beginning.
    Events that an earlier subscription of the connection has got come again if ``since`` lies before them.

    Raises:
        InvalidRequestError: the connection has too many subscriptions, or they are too large.
    """
    begins_after = record.begins_in(generation) if since is None else since
    for _ in range(_TRIES):
        found = await get(record)
        filters = (*(found.filters if found else ()), new)
        require_room(filters, most=record.max_subscriptions)
        if await _change(record, found, filters, since=begins_after, generation=generation):
            return
    raise InvalidRequestError("too many changes of this connection's subscriptions at once: try again")


async def remove(record: ConnectionRecord, subscription_id: str) -> None:
    """Unsubscribe. Idempotent."""
    for _ in range(_TRIES):
        found = await get(record)
        if found is None:
            return
        left = tuple(one for one in found.filters if one.subscription_id != subscription_id)
        if left == found.filters:
            return
        if not left:
            await delete(found)
            return
        if await _change(record, found, left):
            return


async def _change(
    record: ConnectionRecord,
    found: Subscription | None,
    filters: Sequence[Filter],
    *,
    since: int | None = None,
    generation: UUID | None = None,
) -> bool:
    """Write other filters than ``found``'s, and move a cursor back that has passed ``since``.

    False: it is not as found any more, or its cursor, which was to stay, has passed ``since`` meanwhile.
    """
    update = "SET account_id = :account, filters = :filters, version = :next, expires_at = :expiry"
    values: Item = {
        ":account": {"S": record.thread_account_id},
        ":filters": {"S": stored(filters)},
        # A new item's is drawn: one that was removed and made again meanwhile is not taken for the one before.
        ":next": {"N": str((secrets.randbelow(2**40) if found is None else found.version) + 1)},
        ":expiry": {"N": str(record.expires_at)},
    }
    if record.owner_id is not None:
        update += ", reader_id = :reader"
        values[":reader"] = {"S": record.account_id}
    if generation is not None:
        update += ", generation = :generation"
        values[":generation"] = {"S": str(generation)}
    condition = "attribute_not_exists(version)" if found is None else "version = :known"
    options: dict[str, Any] = {}
    if since is not None:
        values[":since"] = {"N": str(since)}
        options["ExpressionAttributeNames"] = {"#cursor": "cursor"}
        if found is None or since < found.cursor:
            update += ", #cursor = :since"
        else:
            condition += " AND #cursor <= :since"
    if found is None:
        update += ", announce_at = :announce"
        values[":announce"] = {"N": str(record.announce_at)}
    else:
        values[":known"] = {"N": str(found.version)}
    try:
        await (await dynamodb()).update_item(
            TableName=stream_settings().subscriptions_table,
            Key=items.key(record.audience, record.connection_id),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            **options,
        )
    except RefusedError:
        return False
    return True


async def get(of: ConnectionRecord | Subscription) -> Subscription | None:
    """What a connection watches of its thread, as it is now; ``None``: nothing (any more)."""
    item = await items.get(items.key(of.audience, of.connection_id))
    return None if item is None or not items.lives(item) else of_item(item)


async def delete(subscription: Subscription) -> None:
    """Forget it. Idempotent."""
    await (await dynamodb()).delete_item(
        TableName=stream_settings().subscriptions_table,
        Key=items.key(subscription.audience, subscription.connection_id),
    )


async def from_before(thread_id: UUID, *, account_id: str, opened_before: float) -> list[Subscription]:
    """What is watched of the account's thread by connections that were opened before then (epoch, s)."""
    found: list[Subscription] = []
    for subscription in await of_thread(thread_id, account_id=account_id):
        record = await get_connection(subscription.connection_id)
        if record is None or record.opened_at < opened_before:
            found.append(subscription)
    return found


async def forget(found: Sequence[Subscription]) -> None:
    """Forget them; their connections are open, and known, until they are closed. Idempotent."""
    for subscription in found:
        await delete(subscription)


async def of_account(thread_id: UUID, *, account_id: str) -> Sequence[Subscription]:
    """What the account's own connections watch of the thread.

    DynamoDB removes hours later what has expired: it is among them.
    """
    return await _among(_of_account(thread_id, account_id))


async def of_everybody(thread_id: UUID, *, account_id: str, reader_id: str | None = None) -> Sequence[Subscription]:
    """What others (``reader_id``: this one) watch of it, or have while it was public; maybe they may not any more."""
    found = await _among(_of_everybody(thread_id), reader_id=reader_id)
    # The thread may have been another account's when they came.
    return [one for one in found if one.account_id == account_id]


async def of_thread(thread_id: UUID, *, account_id: str) -> Sequence[Subscription]:
    """Both."""
    own, others = await asyncio.gather(
        of_account(thread_id, account_id=account_id), of_everybody(thread_id, account_id=account_id)
    )
    return [*own, *others]


async def _among(audience: str, *, reader_id: str | None = None) -> list[Subscription]:
    values: Item = {":audience": {"S": audience}}
    wanted: dict[str, Any] = {"KeyConditionExpression": "thread_id = :audience", "ExpressionAttributeValues": values}
    if reader_id is not None:
        values[":reader"] = {"S": reader_id}
        wanted["FilterExpression"] = "reader_id = :reader"
    paginator = (await dynamodb()).get_paginator("query")
    pages = paginator.paginate(TableName=stream_settings().subscriptions_table, ConsistentRead=True, **wanted)
    return [of_item(item) async for page in pages for item in page["Items"]]
