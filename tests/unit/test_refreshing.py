"""Who watches a thread: its own are seen to however long it takes to read what strangers have written of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.stream import delivery as delivery_module
from shared.stream import subscriptions
from shared.stream.subscriptions import Subscription
from tests.integration.waiting import until
from tests.unit.test_delivery import new_delivery
from tests.unit.watching import World, event, subscription


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    world.patch(monkeypatch)
    world.public_after = 0
    return world


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What strangers have written is being read, and is never read to its end."""
    reading = asyncio.Event()

    async def much(*_: Any, **__: Any) -> Sequence[Subscription]:
        reading.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(subscriptions, "of_everybody", much)
    return reading


async def test_who_subscribes_to_his_own_waits_for_no_reading_of_others(world: World, reading: asyncio.Event) -> None:
    world.log = [event(1)]
    delivery = new_delivery(last_seq=1)
    await reading.wait()
    world.watch(subscription(0))
    delivery.refresh_soon()
    await world.until_sent([1])
    # AND who unsubscribes is served no more
    del world.table["c"]
    delivery.refresh_soon()
    await until(lambda: not delivery._senders)
    await delivery.close(timeout_s=0)


async def test_the_end_of_a_run_waits_for_no_reading_of_others(
    world: World, reading: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "READERS_S", 0.05)
    world.watch(subscription(0))
    delivery = new_delivery()
    await delivery.offer([event(1)])
    await reading.wait()
    # THEN who they are is left to the next sender
    async with asyncio.timeout(10):
        assert not await delivery.close(timeout_s=3600)
    assert (world.seqs(), world.senders) == ([1], {})


async def test_a_reader_who_is_read_late_is_served_at_the_end_and_nobody_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.watch(replace(subscription(connection_id="known"), reader_id="a reader"))
    delivery = new_delivery()
    await delivery.offer([event(1)])
    await world.until_sent([1], "known")
    world.watch(replace(subscription(connection_id="late"), reader_id="a reader"), subscription())
    real, claims = world.of_everybody, list[str]()

    async def slow(*arguments: Any, **more: Any) -> Sequence[Subscription]:
        # The thread's own, and who is known, have everything by then.
        await until(lambda: world.seqs() and not world.senders)
        return await real(*arguments, **more)

    async def claim(wanted: Subscription, **more: Any) -> Subscription | None:
        claims.append(wanted.connection_id)
        return await world.claim(wanted, **more)

    monkeypatch.setattr(subscriptions, "of_everybody", slow)
    monkeypatch.setattr("shared.stream.sender_lease.claim", claim)
    assert await delivery.close(timeout_s=5)
    assert (world.seqs("known"), world.seqs("late"), world.seqs()) == ([1], [1], [1])
    assert sorted(claims) == ["c", "late"]
