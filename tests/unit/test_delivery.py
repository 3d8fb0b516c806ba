"""Delivery to subscriptions, with the log, the table and the gateway in memory."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from shared.stream import connections, log, subscriptions
from shared.stream.connections import ThrottledError
from shared.stream.delivery import Delivery
from shared.stream.events import Logged
from shared.stream.subscriptions import Subscription

THREAD = uuid4()


class World:
    """What delivery talks to: the log's events, who subscribes, and what each connection was sent."""

    def __init__(self) -> None:
        self.log: list[Logged] = []
        self.subscriptions: list[Subscription] = []
        self.sent: dict[str, list[int]] = {}
        self.refusals = 0
        self.log_failures = 0
        self.grown = asyncio.Event()

    async def of_thread(self, _thread_id: UUID, *, account_id: str) -> Sequence[Subscription]:
        return [subscription for subscription in self.subscriptions if subscription.account_id == account_id]

    async def read(self, _thread_id: UUID, *, after_seq: int, limit: int) -> list[Logged]:
        if self.log_failures:
            self.log_failures -= 1
            raise log.RedisError
        return [event for event in self.log if event.seq > after_seq][:limit]

    async def post(self, connection_id: str, frame: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ThrottledError
        self.sent.setdefault(connection_id, []).append(int(frame.split('"seq":')[1].split(",", maxsplit=1)[0]))
        self.grown.set()

    async def until_sent(self, connection_id: str, seqs: list[int]) -> None:
        async with asyncio.timeout(10):
            while self.sent.get(connection_id) != seqs:
                self.grown.clear()
                await self.grown.wait()


def event(seq: int, channel: str = "messages") -> Logged:
    return Logged(seq=seq, channel=channel, frame=f'{{"type":"event","seq":{seq},"method":"{channel}"}}')


def subscription(since: int | None, *, channels: frozenset[str] = frozenset({"messages"})) -> Subscription:
    return Subscription(
        thread_id=THREAD,
        connection_id="c",
        account_id="account",
        subscription_id=str(uuid4()),
        channels=channels,
        since=since,
    )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(subscriptions, "of_thread", world.of_thread)
    monkeypatch.setattr(log, "read", world.read)
    monkeypatch.setattr(connections, "post", world.post)
    return world


def new_delivery(*, last_seq: int = 0) -> Delivery:
    return Delivery(thread_id=THREAD, account_id="account", last_seq=last_seq)


async def test_a_subscription_gets_what_it_has_not_seen_from_the_log_and_then_what_comes(world: World) -> None:
    world.log = [event(1), event(2), event(3)]
    world.subscriptions = [subscription(since=1)]
    delivery = new_delivery(last_seq=3)
    delivery.start()
    await world.until_sent("c", [2, 3])
    await delivery.offer([event(4)])
    await delivery.close(timeout_s=5)
    assert world.sent == {"c": [2, 3, 4]}


async def test_without_since_it_begins_with_this_execution(world: World) -> None:
    world.log = [event(1)]
    world.subscriptions = [subscription(since=None)]
    delivery = new_delivery(last_seq=1)
    delivery.start()
    await delivery.offer([event(2), event(3, channel="tools"), event(4)])
    await delivery.close(timeout_s=5)
    assert world.sent == {"c": [2, 4]}


async def test_events_that_are_gone_do_not_end_a_subscription(world: World) -> None:
    # GIVEN a takeover: numbers begin anew behind what was reserved, and the log has lost what came before
    world.subscriptions = [subscription(since=42)]
    delivery = new_delivery(last_seq=1000)
    delivery.start()
    # WHEN the new holder publishes
    await delivery.offer([event(1001)])
    await world.until_sent("c", [1001])
    await delivery.offer([event(1002)])
    await delivery.close(timeout_s=5)
    # THEN the client hears of it
    assert world.sent == {"c": [1001, 1002]}


async def test_a_log_that_cannot_be_read_for_a_moment_loses_nothing(world: World) -> None:
    world.log = [event(1), event(2)]
    world.log_failures = 1
    world.subscriptions = [subscription(since=0)]
    delivery = new_delivery(last_seq=2)
    delivery.start()
    await world.until_sent("c", [1, 2])
    await delivery.close(timeout_s=5)


async def test_a_subscriber_that_was_refused_for_long_is_taken_up_again_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.stream.delivery._BACKOFF_S", (0.0, 0.0))
    monkeypatch.setattr("shared.stream.delivery.REFRESH_S", 0.01)
    world.subscriptions = [subscription(since=None)]
    delivery = new_delivery()
    delivery.start()
    await delivery.offer([event(1)])
    await world.until_sent("c", [1])
    world.refusals = 3
    await delivery.offer([event(2)])
    await world.until_sent("c", [1, 2])
    await delivery.close(timeout_s=5)
    assert world.sent == {"c": [1, 2]}


async def test_a_slow_subscriber_does_not_hold_up_the_end_for_longer_than_it_may(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()

    async def hang(_connection_id: str, _frame: str) -> None:
        await never.wait()

    monkeypatch.setattr(connections, "post", hang)
    world.subscriptions = [subscription(since=None)]
    delivery = new_delivery()
    delivery.start()
    await delivery.offer([event(1)])
    await delivery.close(timeout_s=0.05)
    assert world.sent == {}
