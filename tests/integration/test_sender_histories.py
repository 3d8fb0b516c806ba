"""Subscribing, leaving, coming back, and senders that die, against a real table and log: nobody misses anything."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.api.sender.serving import Replay
from shared import events
from shared.domain import LogHold
from shared.events import Logged
from shared.stream import log, sender, sender_lease, subscriptions, tries
from shared.stream.delivery import Delivery
from shared.stream.filters import Filter
from shared.stream.sender import Sender
from shared.stream.subscriptions import ConnectionRecord
from tests.integration import opened
from tests.integration.gateway import Gateway, gateway
from tests.thread_logs import hold_of, log_named

pytestmark = pytest.mark.usefixtures("subscriptions_table", "in_no_table")

ACCOUNT = "account"
CLIENTS = 2
ACTIONS = st.one_of(
    # Twice: what happens by itself happens more often than what clients do.
    st.sampled_from(["append", "append", "begin run", "end run", "wake", "kill", "refuse", "let happen", "let happen"]),
    st.sampled_from(["append", "begin run", "kill", "let happen"]),
    st.tuples(st.sampled_from(["come", "leave", "vanish"]), st.integers(0, CLIENTS - 1)),
)


@pytest.fixture(scope="module")
async def posts() -> AsyncIterator[Gateway]:
    """Where posts go; leases are short enough to wait for their end."""
    async with gateway() as found:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CONNECTIONS_URL", found.url)
            opened.forget_settings()
            for module in (sender_lease, sender):
                patch.setattr(module, "SENDER_LEASE_S", 0.4)
            for name, value in {
                "_KEEP_S": 0.005,
                "_RENEW_LEFT_S": 0.3,
                "_MARGIN_S": 0.1,
                "_FIRST_ASK_S": 0.01,
                "_LONGEST_ASK_S": 0.05,
            }.items():
                patch.setattr(sender, name, value)
            patch.setattr(tries, "_BACKOFF_S", (0.005, 0.01))
            yield found
        opened.forget_settings()


class Client:
    """Watches from the last number that it has seen, over one connection at a time; passes over what it has."""

    def __init__(self, thread_id: UUID, posts: Gateway) -> None:
        self._thread_id, self._posts = thread_id, posts
        self._connections: list[ConnectionRecord] = []
        self._wanted: Filter | None = None

    @property
    def watches(self) -> bool:
        """Whether it is subscribed."""
        return self._wanted is not None

    async def come(self) -> None:
        """Open another connection, and subscribe."""
        if self._wanted is not None:
            await self.vanish()
        record = ConnectionRecord(
            connection_id=f"{uuid4().hex[:15]}=",
            account_id=ACCOUNT,
            thread_id=self._thread_id,
            opened_at=time.time(),
            credential_expires_at=2**32,
        )
        await subscriptions.put_connection(record)
        self._connections.append(record)
        self._wanted = Filter(subscription_id=str(uuid4()), channels=frozenset({"custom"}))
        await subscriptions.add(record, self._wanted, since=max(self.seen(), default=0))

    async def leave(self) -> None:
        """Unsubscribe."""
        if self._wanted is not None:
            await subscriptions.remove(self._connections[-1], self._wanted.subscription_id)
            self._wanted = None

    async def vanish(self) -> None:
        """Break the connection; nobody is told before the next post."""
        if self._wanted is not None:
            self._posts.gone.add(self._connections[-1].connection_id)
            self._wanted = None

    def seen(self) -> list[int]:
        """The numbers that it has, in the order of their first arrival."""
        numbers = [
            number for record in self._connections for number in self._posts.seqs(record.connection_id) if number
        ]
        return list(dict.fromkeys(numbers))


class Thread:
    """A thread's log, the executor of its run, and the sender functions that were woken."""

    def __init__(self, thread_id: UUID) -> None:
        self.thread_id = thread_id
        self.last_seq = 0
        self._delivery: Delivery | None = None
        self._replays: list[tuple[Sender, asyncio.Task[bool]]] = []

    @property
    def hold(self) -> LogHold:
        """Who writes the log."""
        return hold_of(log_named(self.thread_id), last_seq=self.last_seq)

    async def append(self) -> None:
        """Whoever holds the log appends an event."""
        self.last_seq += 1
        told: list[Logged] = [
            events.number(events.custom(uuid4(), "numbered", {}), generation=self.thread_id, seq=self.last_seq)
        ]
        answer = await log.append(self.hold, told, expected_seq=self.last_seq - 1, proved=True)
        assert answer.answer == "ok"
        if self._delivery is None:
            await self.wake()
        else:
            await self._delivery.offer(told)

    async def begin_run(self) -> None:
        """An executor begins to deliver."""
        if self._delivery is None:
            self._delivery = Delivery(self.hold)
            self._delivery.start()

    async def end_run(self) -> None:
        """It ends, as a run does."""
        delivery, self._delivery = self._delivery, None
        if delivery is not None and not await delivery.close(timeout_s=2):
            await self.wake()

    async def changed(self) -> None:
        """Somebody has subscribed, or not any more."""
        if self._delivery is None:
            await self.wake()
        else:
            self._delivery.refresh_soon()

    async def wake(self) -> None:
        """A sender function is invoked."""
        source = Replay(self.hold, newest_seq=self.last_seq)
        for found in await subscriptions.of_thread(self.thread_id, account_id=ACCOUNT):
            one = Sender(found, source)
            self._replays.append((one, asyncio.create_task(one.run())))

    async def kill(self) -> None:
        """Everybody who posts dies as a process does: nothing is written back, and no lease is given back."""
        dying = self._replays
        self._replays = []
        if self._delivery is not None:
            dying += self._delivery._senders.values()
        for one, task in dying:
            one._lost = True
            task.cancel()
        await asyncio.gather(*(task for _, task in dying), return_exceptions=True)
        if self._delivery is not None:
            self._delivery._senders.clear()
            await self._delivery.close(timeout_s=0)
            self._delivery = None

    async def finish(self) -> None:
        """What the watch sees to."""
        await self.end_run()
        await self.wake()
        async with asyncio.timeout(20):
            await asyncio.gather(*(task for _, task in self._replays))

    async def act(self, action: str, posts: Gateway) -> None:
        """One thing happens that no client does."""
        match action:
            case "append":
                await self.append()
            case "begin run":
                await self.begin_run()
            case "end run":
                await self.end_run()
            case "wake":
                await self.wake()
            case "kill":
                await self.kill()
            case "refuse":
                posts.answers.append(429)
            case _:
                await asyncio.sleep(0.03)


@given(actions=st.lists(ACTIONS, min_size=12, max_size=40))
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_client_ends_with_every_event_in_order(actions: list[Any], posts: Gateway) -> None:
    thread = Thread(uuid4())
    clients = [Client(thread.thread_id, posts) for _ in range(CLIENTS)]
    # Two watch a run; from there on anything may happen.
    for client in clients:
        await client.come()
    await thread.begin_run()
    for action in actions:
        if isinstance(action, str):
            await thread.act(action, posts)
        else:
            word, number = action
            await getattr(clients[number], word)()
            await thread.changed()
    await thread.finish()
    posts.answers.clear()
    everything = list(range(1, thread.last_seq + 1))
    for client in clients:
        assert client.seen() == (everything if client.watches else everything[: len(client.seen())])
