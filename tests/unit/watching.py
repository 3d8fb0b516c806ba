"""What senders talk to, in memory: the subscriptions' table, the log, the gateway."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import facts, threads
from shared.domain import ThreadLog
from shared.errors import EventLogUnavailableError
from shared.events import Logged
from shared.stream import audience, connections, log, reading, sender, sender_lease, states, subscriptions, tries
from shared.stream.connections import GoneError, ThrottledError, UndeliverableError
from shared.stream.filters import Filter
from shared.stream.reading import HAND_BYTES, handful
from shared.stream.subscriptions import Subscription

THREAD = uuid4()
ACCOUNT = "account"


def event(seq: int, channel: str = "messages", **data: Any) -> Logged:
    """Event ``seq``."""
    frame = {
        "type": "event",
        "event_id": f"{THREAD}:{seq}",
        "seq": seq,
        "method": channel,
        "params": {"namespace": [], "data": data},
    }
    return Logged(seq=seq, channel=channel, frame=json.dumps(frame, separators=(",", ":")))


def a_filter(*channels: str, **more: Any) -> Filter:
    """A filter of these channels."""
    return Filter(subscription_id=str(uuid4()), channels=frozenset(channels or {"messages"}), **more)


def subscription(cursor: int = 0, *, connection_id: str = "c", filters: Sequence[Filter] = ()) -> Subscription:
    """What a connection watches."""
    return Subscription(
        thread_id=THREAD,
        connection_id=connection_id,
        account_id=ACCOUNT,
        filters=tuple(filters) or (a_filter(),),
        cursor=cursor,
        version=1,
        expires_at=2**31,
    )


@dataclass
class World:
    """``sent``: the frames of each connection; ``refusals``: posts that are throttled; ``gone``: closed connections.

    ``undeliverable``: those that the gateway takes nothing for; ``closed``: those that were ended from here.
    ``public_after``: the number after which events are everybody's; ``None``: the thread is not public.
    """

    log: list[Logged] = field(default_factory=list[Logged])
    table: dict[str, Subscription] = field(default_factory=dict[str, Subscription])
    senders: dict[str, str] = field(default_factory=dict[str, str])
    sent: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    refusals: int = 0
    log_failures: int = 0
    gone: set[str] = field(default_factory=set[str])
    closed: list[str] = field(default_factory=list[str])
    undeliverable: set[str] = field(default_factory=set[str])
    on_close: Callable[[str], None] | None = None
    dead: bool = False
    public_after: int | None = None
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def watch(self, *found: Subscription) -> None:
        """Put subscriptions into the table."""
        self.table |= {one.connection_id: one for one in found}

    def change(self, connection_id: str, **changes: Any) -> None:
        """A subscriber changes its subscription."""
        found = self.table[connection_id]
        self.table[connection_id] = replace(found, version=found.version + 1, **changes)

    def seqs(self, connection_id: str = "c") -> list[int | None]:
        """The numbers a connection got."""
        return [frame.get("seq") for frame in self.sent.get(connection_id, [])]

    async def until_sent(self, seqs: list[int | None], connection_id: str = "c") -> None:
        """Wait for it."""
        async with asyncio.timeout(10):
            while self.seqs(connection_id) != seqs:
                self.grown.clear()
                await self.grown.wait()

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the code under test talk to this."""
        for name in ("of_account", "of_everybody", "get", "delete", "delete_connection"):
            monkeypatch.setattr(subscriptions, name, getattr(self, name))
        for name in ("_is_present", "_public"):
            monkeypatch.setattr(audience, name, getattr(self, name.removeprefix("_")))
        for name in ("claim", "keep", "release", "note_announced"):
            monkeypatch.setattr(sender_lease, name, getattr(self, name))
        for name in ("read_some", "first_seq", "last_seq"):
            monkeypatch.setattr(log, name, getattr(self, f"log_{name}"))
        monkeypatch.setattr(facts, "at_hand", self.at_hand)
        monkeypatch.setattr(connections, "post", self.post)
        monkeypatch.setattr(connections, "close", self.close)
        monkeypatch.setattr(states, "snapshot", self.snapshot)
        monkeypatch.setattr(states, "_kept", {})
        monkeypatch.setattr(sender, "_FIRST_ASK_S", 0.001)
        monkeypatch.setattr(sender, "_LONGEST_ASK_S", 0.002)
        monkeypatch.setattr(reading, "_LOG_AWAY_S", 0.0)
        monkeypatch.setattr(tries, "_BACKOFF_S", (0.0, 0.0))

    async def of_account(self, _thread_id: UUID, *, account_id: str) -> Sequence[Subscription]:
        return [one for one in self.table.values() if one.account_id == account_id and one.reader_id is None]

    async def of_everybody(
        self, _thread_id: UUID, *, account_id: str, reader_id: str | None = None
    ) -> Sequence[Subscription]:
        return [one for one in self.table.values() if one.account_id == account_id and one.reader_id is not None]

    async def is_present(self, *_: Any) -> bool:
        return True

    async def public(self, _log: ThreadLog) -> threads.Public | None:
        return None if self.public_after is None else threads.Public(ACCOUNT, THREAD, self.public_after)

    async def get(self, of: Subscription) -> Subscription | None:
        return self.table.get(of.connection_id)

    async def claim(self, wanted: Subscription, *, sender: str, generation: UUID) -> Subscription | None:
        assert generation == THREAD
        found = self.table.get(wanted.connection_id)
        if found is None or self.senders.get(wanted.connection_id, sender) != sender:
            return None
        self.senders[wanted.connection_id] = sender
        return found

    async def keep(self, held: Subscription, *, sender: str, cursor: int) -> bool:
        found = self.table.get(held.connection_id)
        mine = self.senders.get(held.connection_id) == sender and not self.dead
        if found is None or not mine or found.version != held.version:
            return False
        self.table[held.connection_id] = replace(found, cursor=cursor)
        return True

    async def release(self, held: Subscription, *, sender: str, cursor: int) -> bool:
        if self.dead:
            return True
        kept = await self.keep(held, sender=sender, cursor=cursor)
        if kept:
            del self.senders[held.connection_id]
        return kept

    async def note_announced(self, held: Subscription, *, sender: str) -> None:
        assert self.senders[held.connection_id] == sender
        self.table[held.connection_id] = replace(self.table[held.connection_id], announce_at=None)

    async def delete(self, held: Subscription) -> None:
        self.table.pop(held.connection_id, None)
        self.senders.pop(held.connection_id, None)

    async def delete_connection(self, connection_id: str) -> None:
        self.table.pop(connection_id, None)

    async def log_read_some(self, _log: ThreadLog, *, after_seq: int, limit: int, most_bytes: int) -> Sequence[Logged]:
        assert most_bytes == HAND_BYTES
        if self.log_failures:
            self.log_failures -= 1
            raise EventLogUnavailableError
        return handful([found for found in self.log if found.seq > after_seq][:limit])

    async def log_first_seq(self, _log: ThreadLog) -> int | None:
        return self.log[0].seq if self.log else None

    async def log_last_seq(self, _log: ThreadLog) -> int | None:
        return self.log[-1].seq if self.log else None

    async def at_hand(self, _log: ThreadLog, *, after: int, before: int, most: int) -> list[Logged]:
        assert before > after + 1 and most
        return []

    async def post(self, connection_id: str, frame: str) -> None:
        await asyncio.sleep(0)
        if connection_id in self.gone:
            raise GoneError
        if connection_id in self.undeliverable:
            raise UndeliverableError
        if self.refusals:
            self.refusals -= 1
            raise ThrottledError
        self.sent.setdefault(connection_id, []).append(json.loads(frame))
        self.grown.set()

    async def close(self, connection_id: str) -> None:
        self.gone.add(connection_id)
        self.closed.append(connection_id)
        if self.on_close is not None:
            self.on_close(connection_id)

    async def snapshot(self, *, thread_id: UUID, account_id: str) -> list[Any]:
        assert (thread_id, account_id) == (THREAD, ACCOUNT)
        return [{"content": "from the database"}]
