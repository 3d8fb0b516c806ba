"""Delivery while a run is executed, with the log, the table and the gateway in memory."""

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from functions.api.sender.serving import Replay
from shared.errors import SubscriptionsUnavailableError
from shared.stream import connections, sender, sender_lease, subscriptions, tries
from shared.stream.connections import ThrottledError
from shared.stream.delivery import Delivery
from shared.stream.sender import Sender
from tests.thread_logs import hold_of, log_named
from tests.unit.watching import ACCOUNT, THREAD, World, a_filter, event, subscription


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    world.patch(monkeypatch)
    return world


def new_delivery(*, last_seq: int = 0) -> Delivery:
    delivery = Delivery(hold_of(log_named(THREAD), account_id=ACCOUNT, last_seq=last_seq))
    delivery.start()
    return delivery


async def test_a_subscription_gets_what_it_has_not_seen_from_the_log_and_then_what_comes(world: World) -> None:
    world.log = [event(1), event(2), event(3)]
    world.watch(subscription(1))
    delivery = new_delivery(last_seq=3)
    await world.until_sent([2, 3])
    await delivery.offer([event(4)])
    assert await delivery.close(timeout_s=5)
    assert world.seqs() == [2, 3, 4]
    assert [frame["prev_seq"] for frame in world.sent["c"]] == [1, 2, 3]


async def test_a_reader_gets_nothing_up_to_where_the_thread_is_public(world: World) -> None:
    world.log = [event(1), event(2)]
    world.watch(replace(subscription(), reader_id="a reader"))
    world.public_after = 1
    delivery = new_delivery(last_seq=2)
    await world.until_sent([2])
    # WHEN more of it is hidden THEN that holds for who is connected, too
    world.public_after = 4
    assert await delivery._refresh_others()
    await delivery.offer([event(3), event(4), event(5)])
    assert await delivery.close(timeout_s=5)
    assert world.seqs() == [2, 5]


async def test_it_is_left_to_the_next_sender_with_its_cursor(world: World) -> None:
    world.watch(subscription(0))
    delivery = new_delivery()
    await delivery.offer([event(1), event(2)])
    assert await delivery.close(timeout_s=5)
    assert (world.table["c"].cursor, world.senders) == (2, {})


async def test_what_is_not_wanted_is_considered_and_not_sent(world: World) -> None:
    world.watch(subscription(1))
    delivery = new_delivery(last_seq=1)
    await delivery.offer([event(2), event(3, "tools"), event(4)])
    await delivery.close(timeout_s=5)
    assert [(frame["seq"], frame["prev_seq"]) for frame in world.sent["c"]] == [(2, 1), (4, 3)]


async def test_numbers_that_a_dead_holder_reserved_are_no_loss(world: World) -> None:
    # GIVEN a takeover: numbers begin anew behind what was reserved
    world.log = [event(number) for number in range(1, 43)]
    world.watch(subscription(42))
    delivery = new_delivery(last_seq=1000)
    # WHEN the new holder publishes THEN the client hears of it, and of nothing else
    world.log.append(event(1001))
    await delivery.offer([event(1001)])
    await delivery.close(timeout_s=5)
    assert world.seqs() == [1001]


async def test_numbers_before_what_cannot_be_logged_are_declared_by_the_sender(world: World) -> None:
    # GIVEN a takeover, and a log that takes nothing more
    world.log = [event(number) for number in range(1, 43)]
    world.watch(subscription(41))
    delivery = new_delivery(last_seq=1000)
    await world.until_sent([42])
    await delivery.offer([event(1001)])
    await world.until_sent([42, None, None, 1001])
    await delivery.close(timeout_s=5)
    gap, values = world.sent["c"][1:3]
    assert gap["params"]["data"] == {"name": "gap", "payload": {"from": 43, "to": 1000}}
    assert values["params"]["data"] == {"messages": [{"content": "from the database"}]}


async def test_what_the_log_has_forgotten_is_declared_with_a_snapshot(world: World) -> None:
    world.log = [event(100), event(101)]
    world.watch(subscription(42))
    delivery = new_delivery(last_seq=101)
    await world.until_sent([None, None, 100, 101])
    await delivery.close(timeout_s=5)
    gap, values = world.sent["c"][:2]
    assert gap["params"]["data"] == {"name": "gap", "payload": {"from": 43, "to": 99}}
    assert values["params"]["data"] == {"messages": [{"content": "from the database"}]}
    assert world.sent["c"][2]["prev_seq"] == 99


async def test_a_log_that_cannot_be_read_for_a_moment_loses_nothing(world: World) -> None:
    world.log = [event(1), event(2)]
    world.log_failures = 1
    world.watch(subscription(0))
    delivery = new_delivery(last_seq=2)
    await world.until_sent([1, 2])
    await delivery.close(timeout_s=5)


async def test_a_subscriber_that_is_refused_for_long_gets_everything_once(world: World) -> None:
    world.watch(subscription(0))
    delivery = new_delivery()
    await delivery.offer([event(1)])
    await world.until_sent([1])
    world.refusals = 7
    await delivery.offer([event(2), event(3)])
    await world.until_sent([1, 2, 3])
    await delivery.close(timeout_s=5)


async def test_a_connection_that_is_gone_is_forgotten(world: World) -> None:
    world.watch(subscription(0))
    world.gone = {"c"}
    delivery = new_delivery()
    await delivery.offer([event(1)])
    assert await delivery.close(timeout_s=5)
    assert world.table == {}


async def test_only_the_holder_of_the_lease_posts(world: World) -> None:
    world.watch(subscription(0))
    world.senders["c"] = "somebody else"
    delivery = new_delivery()
    await delivery.offer([event(1)])
    assert not await delivery.close(timeout_s=0.05)
    assert world.sent == {}


async def test_a_lease_that_is_given_back_is_taken(world: World) -> None:
    world.watch(subscription(0))
    world.senders["c"] = "somebody else"
    delivery = new_delivery()
    await delivery.offer([event(1)])
    del world.senders["c"]
    await world.until_sent([1])
    assert await delivery.close(timeout_s=5)


async def test_a_subscriber_who_wants_more_from_further_back_gets_it(world: World) -> None:
    world.log = [event(1, "tools"), event(2)]
    world.watch(subscription(1))
    delivery = new_delivery(last_seq=2)
    await world.until_sent([2])
    world.change("c", filters=(a_filter("messages"), a_filter("tools")), cursor=0)
    delivery.refresh_soon()
    # What it has got already comes again, under its number.
    await world.until_sent([2, 1, 2])
    await delivery.offer([event(3, "tools")])
    assert await delivery.close(timeout_s=5)
    assert world.seqs() == [2, 1, 2, 3]


async def test_who_wants_more_gets_what_was_passed_over_before_the_cursor_was_written_back(world: World) -> None:
    world.log = [event(1, "tools"), event(2)]
    world.watch(subscription(0))
    delivery = new_delivery(last_seq=2)
    await world.until_sent([2])
    # GIVEN a table that does not know yet how far the sender is
    assert world.table["c"].cursor == 0
    world.change("c", filters=(*world.table["c"].filters, a_filter("tools")))
    delivery.refresh_soon()
    await world.until_sent([2, 1, 2])
    assert await delivery.close(timeout_s=5)


async def test_custom_events_by_name_and_events_by_namespace(world: World) -> None:
    world.watch(
        subscription(filters=[a_filter("custom:summary")], connection_id="named"),
        subscription(filters=[a_filter("custom", namespaces=((),))], connection_id="root"),
        subscription(filters=[a_filter("custom", namespaces=(("child",),))], connection_id="child"),
    )
    delivery = new_delivery()
    await delivery.offer([event(1, "custom", name="summary"), event(2, "custom", name="other")])
    await delivery.close(timeout_s=5)
    assert {name: world.seqs(name) for name in ("named", "root", "child")} == {
        "named": [1],
        "root": [1, 2],
        "child": [],
    }


async def test_a_slow_subscriber_holds_up_nobody_and_is_left_to_the_next_sender(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()
    real = world.post

    async def hang(connection_id: str, frame: str) -> None:
        if connection_id == "slow":
            await never.wait()
        await real(connection_id, frame)

    monkeypatch.setattr(connections, "post", hang)
    world.watch(subscription(connection_id="slow"), subscription(connection_id="c"))
    delivery = new_delivery()
    await delivery.offer([event(1)])
    await world.until_sent([1])
    assert not await delivery.close(timeout_s=0.05)
    assert (world.table["slow"].cursor, world.senders) == (0, {})


async def test_subscriptions_that_could_not_be_read_at_the_end_are_left_to_the_next_sender(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr("shared.stream.subscriptions.of_account", away)
    world.watch(subscription(0))
    delivery = new_delivery()
    await delivery.offer([event(1)])
    assert not await delivery.close(timeout_s=1)


def _expiring(announce_at: float) -> Any:
    return replace(subscription(0), expires_at=2**31 - 1, announce_at=int(announce_at))


async def test_the_end_of_a_connection_is_announced_once_and_without_a_number(world: World) -> None:
    world.watch(_expiring(time.time() - 1))
    delivery = new_delivery()
    await world.until_sent([None])
    await delivery.offer([event(1)])
    assert await delivery.close(timeout_s=5)
    [announced, told] = world.sent["c"]
    assert announced["params"]["data"] == {
        "name": "connection_expiring",
        "payload": {"expires_at": (2**31 - 1) * 1000},
    }
    assert (announced["method"], told["seq"], told["prev_seq"]) == ("custom", 1, 0)
    # ... and by no later sender either.
    assert world.table["c"].announce_at is None
    later = new_delivery(last_seq=1)
    assert await later.close(timeout_s=5)
    assert world.seqs() == [None, 1]


async def test_the_end_of_a_connection_is_not_announced_long_before(world: World) -> None:
    world.watch(_expiring(time.time() + 600))
    delivery = new_delivery()
    await delivery.offer([event(1)])
    assert await delivery.close(timeout_s=5)
    assert world.seqs() == [1]


async def test_the_end_is_announced_to_a_connection_that_has_everything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a subscriber that has all there is WHEN its connection comes near its end
    now = time.time()
    clock = [now]
    monkeypatch.setattr("shared.stream.sender.time.time", lambda: clock[0])
    monkeypatch.setattr("shared.stream.sender._KEEP_S", 0.01)
    world.watch(_expiring(now + 100))
    delivery = new_delivery()
    await delivery.offer([event(1)])
    await world.until_sent([1])
    clock[0] = now + 101
    # THEN it is told, although nothing else happens
    await world.until_sent([1, None])
    assert await delivery.close(timeout_s=5)


def _refuse(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    async def refuse(*_: Any, **__: Any) -> Any:
        raise SubscriptionsUnavailableError

    for name in names:
        monkeypatch.setattr(subscriptions if hasattr(subscriptions, name) else sender_lease, name, refuse)


async def test_an_announced_end_that_cannot_be_noted_is_announced_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.watch(_expiring(time.time() - 1))
    _refuse(monkeypatch, "note_announced")
    delivery = new_delivery()
    await delivery.offer([event(1)])
    assert await delivery.close(timeout_s=5)
    assert [frame["method"] for frame in world.sent["c"]] == ["custom", "messages"]


async def test_who_is_over_and_cannot_be_forgotten_is_in_nobodys_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.watch(replace(subscription(0, connection_id="over"), expires_at=1), subscription(0))
    _refuse(monkeypatch, "delete", "delete_connection")
    delivery = new_delivery()
    await delivery.offer([event(1)])
    assert await delivery.close(timeout_s=5)
    assert (world.seqs(), world.seqs("over")) == ([1], [])


async def test_a_lease_that_cannot_be_given_back_ends_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.watch(subscription(0))
    _refuse(monkeypatch, "keep", "release")
    delivery = new_delivery()
    await delivery.offer([event(1)])
    assert await delivery.close(timeout_s=5)
    assert (world.seqs(), world.table["c"].cursor, len(world.senders)) == ([1], 0, 1)


async def test_a_client_that_takes_nothing_is_given_up_and_one_that_is_slow_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    for module in (sender, tries):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    monkeypatch.setattr(sender, "_RENEW_LEFT_S", 1e9)
    world.log = [event(seq) for seq in range(1, 6)]
    world.watch(subscription(connection_id="dead"), subscription(connection_id="slow"))
    refused: dict[str, int] = {"dead": 0, "slow": 0}
    post = world.post

    async def refusing(connection_id: str, frame: str) -> None:
        nonlocal now
        refused[connection_id] += 1
        now += 4.0
        # Half of the time of those that are given up.
        if connection_id == "dead" or refused[connection_id] % 3:
            raise ThrottledError
        await post(connection_id, frame)

    monkeypatch.setattr(connections, "post", refusing)
    source = Replay(log_named(THREAD), newest_seq=5)
    async with asyncio.timeout(10):
        done = await asyncio.gather(*(Sender(one, source).run() for one in list(world.table.values())))
    assert done == [True, True]
    assert (world.closed, list(world.table)) == (["dead"], ["slow"])
    assert world.seqs("slow") == [1, 2, 3, 4, 5]


async def test_a_connection_that_the_gateway_cannot_post_to_is_given_up_at_once(world: World) -> None:
    world.log = [event(1)]
    world.watch(subscription(connection_id="strange"), subscription(connection_id="c"))
    world.undeliverable.add("strange")
    delivery = new_delivery(last_seq=1)
    await world.until_sent([1])
    assert await delivery.close(timeout_s=5)
    assert (world.closed, list(world.table)) == (["strange"], ["c"])
