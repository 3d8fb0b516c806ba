"""What an account's connections cost a process that executes other accounts' runs: memory, and the database's time."""

import asyncio
import json
import time
import weakref
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.sender.main import _serve
from shared import events
from shared.database import threads, transaction
from shared.domain import ThreadLog
from shared.events import Logged
from shared.stream import log as event_log
from shared.stream import states, subscriptions
from shared.stream.delivery import Delivery
from shared.stream.filters import Filter
from shared.stream.reading import HAND_BYTES
from shared.stream.subscriptions import ConnectionRecord
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.waiting import until
from tests.integration.watchers import appended, watching
from tests.thread_logs import hold_of

pytestmark = pytest.mark.usefixtures("subscriptions_table", "redis_closed")

OWNER, READER = "the owner", "a reader"


async def _public(database: Database) -> UUID:
    thread_id = await database.new_thread(OWNER)
    async with transaction() as taken:
        await threads.update(taken, thread_id=thread_id, account_id=OWNER, metadata={}, is_public=True)
    return thread_id


async def _watching(thread_id: UUID, *, of: str, many: int) -> list[str]:
    """So many connections of an account, to the owner's thread, that want all of it."""
    records = [
        ConnectionRecord(
            connection_id=f"{uuid4().hex[:15]}=",
            account_id=of,
            owner_id=None if of == OWNER else OWNER,
            thread_id=thread_id,
            opened_at=time.time(),
            credential_expires_at=2.0**32,
        )
        for _ in range(many)
    ]
    for record in records:
        await subscriptions.put_connection(record)
        wanted = Filter(subscription_id="s", channels=frozenset({"custom", "values"}))
        await subscriptions.add(record, wanted, since=0)
    return [record.connection_id for record in records]


class Held:
    """``now``: bytes of what was read from the log that somebody holds still; ``most``: that there were of them."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._read = event_log.read_some

    def _let_go(self, size: int) -> None:
        self.now -= size

    async def read_some(self, log: ThreadLog, **how: Any) -> list[Logged]:
        """As the log's, and heeded."""
        found = await self._read(log, **how)
        for event in found:
            self.now += (size := len(event.frame))
            weakref.finalize(event, self._let_go, size)
        self.most = max(self.most, self.now)
        return found


async def test_connections_that_take_nothing_hold_little_of_a_log_of_large_events(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    monkeypatch.setattr(event_log, "read_some", held.read_some)
    posts.deaf.clear()
    posts.hears.clear()
    log = await database.log(await database.new_thread(OWNER))
    for seq in range(1, 101):
        said = events.custom(uuid4(), "large", {"text": "x" * 48_000})
        told = events.number(said, generation=log.generation, seq=seq)
        await event_log.append(hold_of(log), [told], expected_seq=seq - 1, proved=True)
    deaf = await _watching(log.thread_id, of=OWNER, many=30)
    posts.deaf.update(deaf)
    delivery = Delivery(hold_of(log, account_id=OWNER, last_seq=100))
    delivery.start()
    await until(lambda: sum(posts.posting.get(one, 0) for one in deaf) == 30)
    assert 0 < held.now <= held.most <= 30 * HAND_BYTES
    # AND all is told, once they listen
    posts.deaf.clear()
    posts.hears.set()
    assert await delivery.close(timeout_s=60)
    assert all(posts.seqs(one) == [*range(1, 101)] for one in deaf)
    assert held.most <= 30 * HAND_BYTES


@pytest.mark.parametrize("of", [OWNER, READER])
@pytest.mark.parametrize("says", ["a gap", "states"])
async def test_many_who_are_told_how_a_thread_stands_take_one_connection_to_the_database(
    database: Database, posts: Gateway, of: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await _public(database)
    for position in range(3):
        await database.connection.execute(
            "INSERT INTO messages (message_id, thread_id, account_id, type, content, metadata, run_number, position)"
            " VALUES ($1, $2, $3, 'user', $4::jsonb, '{}', 0, $5)",
            *(uuid4(), thread_id, OWNER, json.dumps({"role": "user", "content": f"message {position}"}), position),
        )
    log = await database.log(thread_id)
    if says == "a gap":
        await appended(log, 5, 6, after=0)
        last = 6
    else:
        stood = events.values(thread_id, None)
        told = [events.number(stood, generation=log.generation, seq=seq) for seq in range(1, 201)]
        assert (await event_log.append(hold_of(log), told, expected_seq=0, proved=True)).answer == "ok"
        last = 200
    many = await _watching(thread_id, of=of, many=40)
    taken = at_once = most_at_once = 0
    real = states.snapshot

    async def snapshot(**whose: Any) -> Any:
        nonlocal taken, at_once, most_at_once
        taken += 1
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        try:
            return await real(**whose)
        finally:
            at_once -= 1

    monkeypatch.setattr(states, "snapshot", snapshot)
    # Not the machine's speed: those who come later than that ask anew, and may.
    monkeypatch.setattr(states, "KEPT_S", 3600.0)
    delivery = Delivery(hold_of(log, account_id=OWNER, last_seq=last))
    delivery.start()
    await until(lambda: all(posts.sent.get(one) for one in many))
    await delivery.close(timeout_s=60)
    # Whoever's thread it is gets states as they were said.
    assert (taken, most_at_once) == ((0, 0) if (of, says) == (OWNER, "states") else (1, 1))
    for one in many:
        stands = [frame["params"]["data"] for frame in posts.sent[one] if frame["method"] == "values"]
        if taken:
            assert [message["content"] for message in stands[-1]["messages"]] == [f"message {n}" for n in range(3)]
        assert len(stands) == 200 if not taken else 1 <= len(stands) <= 2


async def test_who_serves_the_owner_reads_of_others_no_longer_than_it_serves_them(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.api.sender.serving.READERS_S", 0.05)
    thread_id = await _public(database)
    await appended(await database.log(thread_id), 1, 3)
    own = await watching(thread_id, account_id=OWNER)

    async def much(*_: Any, **__: Any) -> list[Any]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(subscriptions, "of_everybody", much)
    # THEN it fails nothing of the owner's, and takes none of his time
    serving = _serve(thread_id, account_id=OWNER, limit_s=3600, function="the-sender")
    await asyncio.wait_for(serving, timeout=60)
    assert posts.seqs(own) == [1, 2, 3]
    assert await database.count("waits") == 0
