"""What senders hold of a log: little, however many connections take nothing, and however large the events are."""

import asyncio
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.domain import ThreadLog
from shared.events import Logged
from shared.stream import connections, delivery, log
from shared.stream.reading import HAND_BYTES, Reading, handful
from tests.integration.waiting import until
from tests.unit.test_delivery import new_delivery
from tests.unit.watching import World, event, subscription

LARGE = "x" * 48_000


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    world.patch(monkeypatch)
    return world


class Held:
    """How many bytes of what was read from the log somebody holds, and the most that were held."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def let_go(self, size: int) -> None:
        """Some of it is no more."""
        self.now -= size

    async def read(self, log: ThreadLog, *, after_seq: int, limit: int, most_bytes: int) -> Sequence[Logged]:
        """A read of a log that never ends."""
        del log, limit
        found = handful([event(after_seq + place, text=LARGE) for place in range(1, 6)])
        for one in found:
            self.now += (size := len(one.frame))
            weakref.finalize(one, self.let_go, size)
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        return found


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The posts that nobody takes."""
    posting: list[str] = []

    async def post(connection_id: str, frame: str) -> None:
        del frame
        posting.append(connection_id)
        await asyncio.Event().wait()

    monkeypatch.setattr(connections, "post", post)
    return posting


@pytest.mark.parametrize(("readers", "places"), [(0, 64), (5, 16 * 5), (20, 128)])
async def test_connections_that_take_nothing_hold_a_handful_for_each_of_their_accounts_sockets(
    world: World, deaf: list[str], monkeypatch: pytest.MonkeyPatch, readers: int, places: int
) -> None:
    held = Held()
    monkeypatch.setattr(log, "read_some", held.read)
    world.public_after = 0
    for account in range(max(1, readers)):
        reader_id = f"reader {account}" if readers else None
        many = [subscription(connection_id=f"{account}.{one}") for one in range(100)]
        world.watch(*(replace(one, reader_id=reader_id) for one in many))
    delivery = new_delivery(last_seq=1000)
    await until(lambda: len(deaf) >= places)
    # They have had the time to read more.
    for _ in range(100):
        await asyncio.sleep(0)
    await delivery.close(timeout_s=0)
    assert len(deaf) == places
    assert held.most <= places * HAND_BYTES


async def test_who_waits_to_post_again_holds_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    monkeypatch.setattr(log, "read_some", held.read)
    world.watch(*(subscription(connection_id=f"c{one}") for one in range(20)))
    world.refusals = 20
    monkeypatch.setattr("shared.stream.tries._BACKOFF_S", (1e6,))
    delivery = new_delivery(last_seq=1000)
    await until(lambda: not world.refusals)
    for _ in range(100):
        await asyncio.sleep(0)
    assert held.most > 0
    assert held.now == 0
    await delivery.close(timeout_s=0)


async def test_a_run_keeps_few_bytes_at_hand(world: World, deaf: list[str]) -> None:
    # GIVEN a run that says much, and connections that begin to take nothing at different times
    sizes: dict[int, int] = {}
    found = new_delivery()
    for seq in range(1, 301):
        world.watch(*([subscription(seq - 1, connection_id=f"c{seq}")] if seq % 3 == 0 else []))
        told = event(seq, text=LARGE)
        sizes[seq] = len(told.frame)
        weakref.finalize(told, sizes.pop, seq)
        await found.offer([told])
        del told
        found.refresh_soon()
        for _ in range(10):
            await asyncio.sleep(0)
    assert len(deaf) == 64
    # THEN what was said is kept by the run as far as its tail goes, and a handful for each that has a socket
    assert sum(sizes.values()) <= delivery.TAIL_BYTES + 64 * HAND_BYTES
    assert len(found.tail_after(0)) > 1
    await found.close(timeout_s=0)


@pytest.mark.parametrize(
    ("sizes", "some"), [((), 0), ((HAND_BYTES * 2, 1), 1), ((HAND_BYTES - 1, 1, 1), 2), ((1,) * 300, 200)]
)
def test_a_handful_is_one_event_at_least(sizes: Sequence[int], some: int) -> None:
    found: Any = [Logged(seq=seq, channel="messages", frame="x" * size) for seq, size in enumerate(sizes)]
    assert handful(found) == found[:some]


async def test_who_is_far_behind_in_a_runs_tail_takes_a_handful_of_it_at_a_time(world: World) -> None:
    del world
    behind = new_delivery()
    told = [event(seq, text=LARGE) for seq in range(1, 21)]
    await behind.offer(told)
    found = await Reading(behind).next_after(0, newest=20)
    assert [one.seq for one in found.events] == [1]
    assert sum(len(one.frame) for one in told) > 10 * HAND_BYTES
