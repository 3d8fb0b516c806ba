"""Whatever happens to senders and connections, a client that honours ids ends with every event, in order, once."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.api.sender.serving import Replay
from shared.stream.delivery import Delivery
from shared.stream.sender import Sender
from tests.thread_logs import hold_of, log_named
from tests.unit.watching import ACCOUNT, THREAD, World, event, subscription

ACTIONS = ["append", "executor", "replay", "end", "kill", "reconnect", "refuse", "undeliverable", "yield"]


class Client:
    """Reconnects from the highest number it has seen, and passes over what it has."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._connections = 0
        world.on_close = self._closed
        self.connect()

    @property
    def connection_id(self) -> str:
        """Of its newest connection."""
        return f"c{self._connections}"

    def _closed(self, connection_id: str) -> None:
        """It is there, so it connects again."""
        if connection_id == self.connection_id:
            self.connect()

    def connect(self) -> None:
        """Vanish from one connection, and open the next."""
        if self._connections:
            self._world.gone.add(f"c{self._connections}")
        seen = self.seen()
        self._connections += 1
        self._world.watch(subscription(seen[-1] if seen else 0, connection_id=f"c{self._connections}"))

    def seen(self) -> list[int]:
        """The numbers it has seen, in the order of their first arrival."""
        numbers = [
            number for place in range(1, self._connections + 1) for number in self._world.seqs(f"c{place}") if number
        ]
        return list(dict.fromkeys(numbers))


class Stage:
    """The executor's delivery, and the sender functions that were woken."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.delivery: Delivery | None = None
        self.replays: list[asyncio.Task[Any]] = []

    async def act(self, action: str, client: Client) -> None:
        """One thing happens."""
        world = self.world
        match action:
            case "append":
                new = event(len(world.log) + 1)
                world.log.append(new)
                if self.delivery is not None:
                    await self.delivery.offer([new])
                else:
                    self.wake()
            case "executor" if self.delivery is None:
                self.delivery = Delivery(hold_of(log_named(THREAD), account_id=ACCOUNT, last_seq=len(world.log)))
                self.delivery.start()
            case "replay":
                self.wake()
            case "end" if self.delivery is not None:
                delivery, self.delivery = self.delivery, None
                if not await delivery.close(timeout_s=1):
                    self.wake()
            case "kill":
                await self._kill()
            case "reconnect":
                client.connect()
                self.wake()
                if self.delivery is not None:
                    self.delivery.refresh_soon()
            case "refuse" | "undeliverable":
                world.refusals += action == "refuse"
                world.undeliverable |= {client.connection_id} if action == "undeliverable" else set()
            case _:
                await asyncio.sleep(0.001)

    def wake(self) -> None:
        """A sender function is invoked."""
        source = Replay(log_named(THREAD), newest_seq=len(self.world.log))
        self.replays += [asyncio.create_task(Sender(found, source).run()) for found in self.world.table.values()]

    async def _kill(self) -> None:
        """Everybody who posts dies; nothing is written back, and the leases end."""
        self.world.dead = True
        if self.delivery is not None:
            await self.delivery.close(timeout_s=0)
            self.delivery = None
        for task in self.replays:
            task.cancel()
        await asyncio.gather(*self.replays, return_exceptions=True)
        self.replays.clear()
        self.world.senders.clear()
        self.world.dead = False

    async def finish(self) -> None:
        """What the watch sees to."""
        if self.delivery is not None:
            await self.delivery.close(timeout_s=5)
        closed = -1
        # Whoever connects again subscribes, and has a sender woken.
        while closed != len(self.world.closed):
            closed = len(self.world.closed)
            self.wake()
            async with asyncio.timeout(10):
                await asyncio.gather(*self.replays)


@given(actions=st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=60))
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_nothing_is_lost_and_nothing_comes_out_of_order(
    actions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.patch(monkeypatch)
    client, stage = Client(world), Stage(world)
    for action in actions:
        await stage.act(action, client)
    await stage.finish()
    assert client.seen() == [found.seq for found in world.log]
