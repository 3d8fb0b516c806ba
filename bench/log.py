"""The event log against Suna's: ``make bench-log``.

Both sides bring the same 2,000 events (already merged, about 300 bytes) in order to 1, 10 and 100 readers, on the same
Redis, in one process each time, taking turns: on a one-node cluster, and then all of it on an ordinary Redis
(``PLAIN_REDIS_URL``).

Ours is the runner's own path: publisher, one append script a batch (a batch is what has come while the last one was
written, 64 at most), one delivery for all subscribers of the thread, served from memory. Posting to the gateway is
replaced by a call that notes the time, and DynamoDB by a table in memory; the gateway's push is in neither side. Wake
policy: subscribers are woken after each batch.

Theirs is what the seed describes: RPUSH and PUBLISH for each event; a reader waits on pub/sub and reads LRANGE from
where it was. It reads once for all notifications that have come meanwhile, which is kinder than one LRANGE each.

Throughput: as fast as each goes. Lag (event made -> reader has it): 100 events a second. Commands: as Redis counts
them, in the throughput runs with 100 readers.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from redis.asyncio import Redis

from bench.report import distribution, keep, show, sized
from shared import events
from shared.database import facts
from shared.domain import LogHold
from shared.settings import stream_settings
from shared.stream import connections, redis_client, sender_lease
from shared.stream import delivery as delivering
from shared.stream.appender import Appender
from shared.stream.delivery import Delivery
from shared.stream.filters import Filter
from shared.stream.publisher import Publisher
from shared.stream.subscriptions import Subscription

EVENTS = sized(2000, 20)
READERS = sized((1, 10, 100), (1, 100))
LAG_EVENTS = sized(300, 10)
RATE_PER_S = 100.0
TEXT = "word " * 30


@dataclass(frozen=True)
class Measured:
    """One run of one side: wall and CPU seconds of this process, Redis's CPU seconds and commands, lags in ms."""

    wall_s: float
    cpu_s: float
    redis_cpu_s: float
    commands: int
    lag_ms: list[float]


type Rows = dict[str, dict[str, float]]

type Side = Callable[[int, int, float | None], Awaitable[list[float]]]
"""Brings so many events to so many readers, at a rate or as fast as it goes; the lags in seconds."""


async def _pace(number: int, begun: float, rate: float | None) -> None:
    if rate is not None:
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))


async def ours(count: int, readers: int, rate: float | None) -> list[float]:
    """Publisher, log and delivery."""
    hold = LogHold(thread_id=uuid4(), generation=uuid4(), account_id="bench", epoch=1, last_seq=0, reserved_seq=0)
    run_id = uuid4()
    made: list[float] = []
    lags: list[float] = []
    done = asyncio.Event()
    wanted = Filter(subscription_id="bench", channels=frozenset({"messages"}))
    subscribed = {
        str(place): Subscription(
            thread_id=hold.thread_id,
            connection_id=str(place),
            account_id="bench",
            filters=(wanted,),
            cursor=0,
            version=1,
            expires_at=2**40,
        )
        for place in range(readers)
    }
    got = dict.fromkeys(range(readers), 0)

    async def post(connection_id: str, _frame: str) -> None:
        reader = int(connection_id)
        lags.append(time.perf_counter() - made[got[reader]])
        got[reader] += 1
        if len(lags) == count * readers:
            done.set()

    async def own_audience(*_: Any, **__: Any) -> list[Subscription]:
        return list(subscribed.values())

    async def claim(subscription: Subscription, **_: Any) -> Subscription:
        return subscribed[subscription.connection_id]

    async def yes(*_: Any, **__: Any) -> bool:
        return True

    async def nothing(*_: Any, **__: Any) -> list[Any]:
        return []

    async def reserve(_hold: LogHold) -> int:
        return 2**40

    async def prove(_hold: LogHold) -> bool:
        return True

    with (
        patch.object(connections, "post", post),
        patch.object(delivering, "own_audience", own_audience),
        patch.object(delivering, "other_audience", nothing),
        patch.object(sender_lease, "claim", claim),
        patch.object(sender_lease, "keep", yes),
        patch.object(sender_lease, "release", yes),
        patch.object(facts, "take", nothing),
        patch.object(facts, "note_logged", nothing),
    ):
        delivery = Delivery(hold)
        publisher = Publisher(
            Appender(hold, reserve=reserve, prove=prove, proved_for_s=60.0),
            delivery,
            run_id=run_id,
            on_lost=lambda: None,
        )
        delivery.start()
        publisher.start()
        begun = time.perf_counter()
        for number in range(count):
            await _pace(number, begun, rate)
            made.append(time.perf_counter())
            await publisher.publish(events.block_delta(run_id, 0, {"type": "text-delta", "text": TEXT}))
        await done.wait()
        await publisher.close()
        await delivery.close(timeout_s=5)
    return lags


async def theirs(count: int, readers: int, rate: float | None) -> list[float]:
    """RPUSH, PUBLISH, LRANGE."""
    run_id, thread_id = uuid4(), uuid4()
    key, channel = f"agent_run:{run_id}:responses", f"agent_run:{run_id}:new_response"
    made: list[float] = []
    lags: list[float] = []
    client: Any = Redis.from_url(_url(), protocol=2, decode_responses=True, max_connections=1000)
    ready = asyncio.Barrier(readers + 1)

    async def read() -> None:
        async with client.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            while await pubsub.get_message(timeout=5) is None:
                pass
            await ready.wait()
            at = 0
            while at < count:
                if await pubsub.get_message(ignore_subscribe_messages=True, timeout=5) is None:
                    continue
                while await pubsub.get_message(ignore_subscribe_messages=True, timeout=0) is not None:
                    pass
                found = await client.lrange(key, at, -1)
                now = time.perf_counter()
                lags.extend(now - made[at + place] for place in range(len(found)))
                at += len(found)

    async with asyncio.TaskGroup() as group:
        for _ in range(readers):
            group.create_task(read())
        await ready.wait()
        begun = time.perf_counter()
        for number in range(count):
            await _pace(number, begun, rate)
            event = events.block_delta(run_id, 0, {"type": "text-delta", "text": TEXT})
            frame = events.number(event, generation=thread_id, seq=number + 1).frame
            made.append(time.perf_counter())
            await client.rpush(key, frame)
            await client.publish(channel, "new")
    await client.delete(key)
    await client.aclose()
    return lags


def _url() -> str:
    return stream_settings().redis_url


async def _measure(side: Side, *, count: int, readers: int, rate: float | None) -> Measured:
    server: Any = Redis.from_url(_url(), protocol=2, decode_responses=True)

    async def state() -> tuple[int, float]:
        stats, cpu = await server.info("stats"), await server.info("cpu")
        return stats["total_commands_processed"], cpu["used_cpu_user"] + cpu["used_cpu_sys"]

    commands, redis_cpu = await state()
    wall, cpu = time.perf_counter(), time.process_time()
    lags = await side(count, readers, rate)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    commands_after, redis_cpu_after = await state()
    await server.aclose()
    if len(lags) != count * readers:
        raise RuntimeError(f"{len(lags)} of {count * readers} events have arrived")
    return Measured(wall, cpu, redis_cpu_after - redis_cpu, commands_after - commands - 2, [lag * 1000 for lag in lags])


async def _throughput(sides: dict[str, Side], rows: Rows) -> dict[str, Measured]:
    """As fast as each goes; returns what was measured with the most readers, by side."""
    found: dict[str, Measured] = {}
    for readers in READERS:
        for name, side in sides.items():
            found[name] = await _measure(side, count=EVENTS, readers=readers, rate=None)
            rows[f"{name}, {readers} readers, flat out"] = {
                "events/s to each": EVENTS / found[name].wall_s,
                "commands": found[name].commands,
                "CPU s": found[name].cpu_s,
                "Redis CPU s": found[name].redis_cpu_s,
            }
    return found


async def _lag_p99_ms(sides: dict[str, Side], rows: Rows) -> dict[str, float]:
    """At 100 events a second, by side."""
    p99: dict[str, float] = {}
    for name, side in sides.items():
        found = await _measure(side, count=LAG_EVENTS, readers=max(READERS), rate=RATE_PER_S)
        said = distribution(found.lag_ms)
        p99[name] = said["p99"]
        rows[f"{name}, {max(READERS)} readers, {RATE_PER_S:g}/s"] = {
            "lag p50 ms": said["p50"],
            "lag p99 ms": said["p99"],
            "CPU s": found.cpu_s,
            "Redis CPU s": found.redis_cpu_s,
        }
    return p99


async def _compare(url: str, *, title: str) -> dict[str, float]:
    """Both sides on one Redis."""
    os.environ["REDIS_URL"] = url
    stream_settings.cache_clear()
    redis_client.redis.cache_clear()
    sides: dict[str, Side] = {"ours": ours, "suna": theirs}
    await redis_client.redis().connect()
    for side in sides.values():  # warm
        await _measure(side, count=50, readers=2, rate=None)
    rows: Rows = {}
    speed, lag_p99_ms = await _throughput(sides, rows), await _lag_p99_ms(sides, rows)
    await redis_client.redis().aclose()
    show(f"{EVENTS:,} events to readers, {title}: one log and one delivery, or a list and pub/sub", rows)
    mine, suna = speed["ours"], speed["suna"]
    return {
        "events_per_s_ratio_100_readers": round(suna.wall_s / mine.wall_s, 2),
        "redis_commands_ratio": round(suna.commands / mine.commands, 1),
        "lag_p99_ratio": round(lag_p99_ms["ours"] / lag_p99_ms["suna"], 2),
        "cpu_s_ours_100": round(mine.cpu_s, 2),
        "cpu_s_suna_100": round(suna.cpu_s, 2),
        "redis_cpu_s_ours_100": round(mine.redis_cpu_s, 2),
        "redis_cpu_s_suna_100": round(suna.redis_cpu_s, 2),
        "events": EVENTS,
    }


async def _bench() -> None:
    # Asked for by the settings, and used by nothing here.
    os.environ |= {"SUBSCRIPTIONS_TABLE": "none", "CONNECTIONS_URL": "none"}
    cluster, plain = os.environ["REDIS_URL"], os.environ["PLAIN_REDIS_URL"]
    figures: dict[str, Any] = await _compare(cluster, title="one-node cluster")
    figures["ordinary_redis"] = await _compare(plain, title="ordinary Redis")
    keep("log", figures)


if __name__ == "__main__":
    asyncio.run(_bench())
