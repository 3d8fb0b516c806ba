"""The event log on a real Redis, cluster or not: who may append, and what is remembered; and the hints beside it."""

import asyncio
import json
import os
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from shared import events
from shared.errors import EventLogUnavailableError
from shared.events import Logged
from shared.stream import control, log, redis_client
from shared.stream.control import Hint
from shared.stream.log import TTL_MS, Answer, Appended
from shared.stream.redis_client import Client, found_away_once, redis
from tests.cable import Cable
from tests.integration.servers import Servers
from tests.thread_logs import hold_of, log_named

pytestmark = pytest.mark.usefixtures("either_redis")


@pytest.fixture
def thread_id() -> UUID:
    return uuid4()


def _batch(thread_id: UUID, first: int, last: int) -> list[Logged]:
    run_id = uuid4()
    return [
        events.number(events.custom(run_id, "numbered", {"seq": seq}), generation=thread_id, seq=seq)
        for seq in range(first, last + 1)
    ]


async def _append(
    thread_id: UUID, batch: list[Logged] | tuple[int, int], *, epoch: int = 1, expected: int = 0, proved: bool = False
) -> Answer:
    given = _batch(thread_id, *batch) if isinstance(batch, tuple) else batch
    hold = hold_of(log_named(thread_id), epoch=epoch)
    return (await log.append(hold, given, expected_seq=expected, proved=proved)).answer


async def _seqs(thread_id: UUID, *, after: int = 0, limit: int = 100) -> list[int]:
    return [entry.seq for entry in await log.read(log_named(thread_id), after_seq=after, limit=limit)]


async def _redis() -> Any:
    return redis()


async def test_what_was_appended_is_read_as_it_was(thread_id: UUID) -> None:
    batch = _batch(thread_id, 1, 3)
    assert await _append(thread_id, batch, proved=True) == "ok"
    assert await log.read(log_named(thread_id), after_seq=0, limit=10) == batch
    assert json.loads(batch[0].frame)["params"]["data"]["payload"] == {"seq": 1}


async def test_a_reader_goes_on_after_its_cursor_and_gets_no_more_than_it_wants(thread_id: UUID) -> None:
    await _append(thread_id, (1, 10), proved=True)
    assert await _seqs(thread_id, after=3, limit=4) == [4, 5, 6, 7]
    assert await _seqs(thread_id, after=10) == []
    assert await _seqs(thread_id, after=2**62) == []
    assert await _seqs(uuid4()) == []


async def test_no_more_is_read_than_has_room_and_one_event_at_least() -> None:
    thread_log = log_named(uuid4())
    sizes = [100] * 25 + [40_000, 40_000, 10, 10, 48_000, 10]
    batch = [
        events.number(
            events.custom(uuid4(), "x", {"text": "x" * size}), generation=thread_log.generation, seq=2 * place
        )
        for place, size in enumerate(sizes, 1)
    ]
    batch[3] = replace(batch[3], is_private=True)
    await log.append(hold_of(thread_log), batch, expected_seq=0, proved=True)

    async def some(after: int, limit: int = 200) -> list[Logged]:
        return await log.read_some(thread_log, after_seq=after, limit=limit, most_bytes=45_000)

    # Whoever goes on from each read gets all of them, as they were.
    found = [await some(0)]
    while found[-1]:
        found.append(await some(found[-1][-1].seq))
    assert [event for read in found for event in read] == batch
    assert [len(read) for read in found] == [25, 1, 3, 1, 1, 0]
    assert await some(1, limit=3) == batch[:3]
    assert await some(0, limit=10) == batch[:10]
    assert await some(2**62) == []
    assert await log.read_some(log_named(uuid4()), after_seq=0, limit=9, most_bytes=9) == []


async def test_appends_go_on_from_one_another(thread_id: UUID) -> None:
    assert await _append(thread_id, (1, 2), proved=True) == "ok"
    assert await _append(thread_id, (3, 3), expected=2) == "ok"
    assert await _append(thread_id, (4, 6), expected=3) == "ok"
    assert await _seqs(thread_id) == [1, 2, 3, 4, 5, 6]


async def test_a_batch_whose_reply_was_lost_may_be_sent_again(thread_id: UUID) -> None:
    batch = _batch(thread_id, 1, 2)
    assert await _append(thread_id, batch, proved=True) == "ok"
    assert await _append(thread_id, batch, proved=True) == "ok"
    assert await _append(thread_id, batch) == "ok"
    assert await log.read(log_named(thread_id), after_seq=0, limit=10) == batch


async def test_an_epoch_that_was_not_proved_is_unknown(thread_id: UUID) -> None:
    assert await _append(thread_id, (1, 1)) == "unknown"
    await _append(thread_id, (1, 1), epoch=1, proved=True)
    assert await _append(thread_id, (2, 2), epoch=2, expected=1) == "unknown"
    assert await _seqs(thread_id) == [1]


async def test_a_zombie_is_fenced_also_when_it_proves_its_old_epoch(thread_id: UUID) -> None:
    # GIVEN two holders, of which the first was taken over
    await _append(thread_id, (1, 2), epoch=1, proved=True)
    assert await _append(thread_id, (1001, 1001), epoch=2, expected=1000, proved=True) == "tail_lost"
    # Fenced from here on, before the second has appended anything.
    assert await _append(thread_id, (3, 3), epoch=1, expected=2) == "fenced"
    assert await _append(thread_id, (1001, 1001), epoch=2, expected=2) == "ok"
    # WHEN it wakes up THEN nothing of it is appended, whatever it claims
    for proved in (False, True):
        for expected in (2, 1001):
            assert await _append(thread_id, (1002, 1002), epoch=1, expected=expected, proved=proved) == "fenced"
    assert await _seqs(thread_id) == [1, 2, 1001]


async def test_a_log_that_does_not_end_where_it_was_left_is_a_lost_tail(thread_id: UUID) -> None:
    # GIVEN a failover that lost the last entries, but not the fence
    await _append(thread_id, (1, 5), proved=True)
    redis = await _redis()
    await redis.xdel(log._keys(thread_id)[0], "4-0", "5-0")
    # THEN the holder is told where the log ends, and goes on from there
    hold = hold_of(log_named(thread_id))
    assert await log.append(hold, _batch(thread_id, 6, 7), expected_seq=5) == Appended("tail_lost", 3)
    assert await _seqs(thread_id) == [1, 2, 3]
    assert await _append(thread_id, (6, 7), expected=3) == "ok"
    assert await _seqs(thread_id) == [1, 2, 3, 6, 7]


async def test_a_log_that_was_flushed_is_begun_again(thread_id: UUID) -> None:
    await _append(thread_id, (1, 5), epoch=3, proved=True)
    redis = await _redis()
    await redis.delete(*log._keys(thread_id))
    assert await _append(thread_id, (6, 6), epoch=3, expected=5) == "unknown"
    assert await _append(thread_id, (6, 6), epoch=3, expected=5, proved=True) == "tail_lost"
    assert await _append(thread_id, (6, 6), epoch=3, expected=0) == "ok"
    assert await _seqs(thread_id) == [6]


async def test_of_a_batch_that_is_there_in_part_the_rest_is_appended(thread_id: UUID) -> None:
    batch = _batch(thread_id, 1, 4)
    await _append(thread_id, batch[:2], proved=True)
    assert await _append(thread_id, batch, expected=0) == "tail_lost"
    assert await _append(thread_id, batch, expected=2) == "ok"
    assert await log.read(log_named(thread_id), after_seq=0, limit=10) == batch


async def test_appends_of_one_thread_at_once_leave_one_order(thread_id: UUID) -> None:
    await _append(thread_id, (1, 1), proved=True)
    answers = await asyncio.gather(*(_append(thread_id, (2, 2), expected=1) for _ in range(20)))
    assert set(answers) == {"ok"}
    assert await _seqs(thread_id) == [1, 2]


async def test_log_and_fence_expire_together(thread_id: UUID) -> None:
    await _append(thread_id, (1, 1), proved=True)
    redis = await _redis()
    left_ms = [await redis.pttl(key) for key in log._keys(thread_id)]
    assert all(TTL_MS - 60_000 < left <= TTL_MS for left in left_ms)


async def test_numbers_beyond_32_bits_stay_exact(thread_id: UUID) -> None:
    far = 2**52
    assert await _append(thread_id, (far, far + 1), expected=0, proved=True) == "ok"
    assert await _append(thread_id, (far + 2, far + 2), expected=far + 1) == "ok"
    assert await _seqs(thread_id, after=far) == [far + 1, far + 2]


async def test_a_reader_that_waits_gets_what_comes_and_waits_no_longer_than_it_said(thread_id: UUID) -> None:
    assert await log.wait(log_named(thread_id), after_seq=0, limit=10, block_ms=20) == []
    batch = _batch(thread_id, 1, 2)
    waiting = asyncio.create_task(log.wait(log_named(thread_id), after_seq=0, limit=10, block_ms=60_000))
    assert await _append(thread_id, batch, proved=True) == "ok"
    assert await waiting == batch
    await log.forget(thread_id)
    assert await log.last_seq(log_named(thread_id)) is None


async def test_a_hint_is_heard_by_who_listens_since_before_it(thread_id: UUID) -> None:
    run_id = uuid4()
    await control.notify(log_named(thread_id), "facts")
    hints = control.listen(log_named(thread_id), after_id=await control.last_id(log_named(thread_id)))
    waiting = asyncio.ensure_future(anext(hints))
    await control.notify(log_named(thread_id), "stop", agent_run_id=run_id)
    assert await waiting == Hint("stop", str(run_id))
    await hints.aclose()
    await control.forget(thread_id)
    assert await control.last_id(log_named(thread_id)) == "0-0"


async def test_a_user_who_may_not_ask_whether_it_is_a_cluster_is_told_so(running: Servers) -> None:
    # GIVEN a cluster, which would send whoever takes it for an ordinary server elsewhere
    admin: Any = Redis.from_url(running.redis_url)
    try:
        await admin.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all", "-cluster")
        client = Client(running.redis_url.replace("redis://", "redis://limited:secret@"))
        with pytest.raises(EventLogUnavailableError) as refused:
            await client.get("x")
        assert "cluster" in str(refused.value.__cause__)
        await client.aclose()
        await admin.execute_command("ACL", "DELUSER", "limited")
    finally:
        await admin.aclose()


async def test_a_redis_that_falls_silent_is_tried_once_for_a_command(
    either_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable = Cable(urlsplit(either_redis).port or 6379)
    cable.plug()
    # A cluster says where its nodes are: that is the cable's other end.
    client = Client(f"redis://127.0.0.1:{cable.port}/0", address_remap=lambda _: ("127.0.0.1", cable.port))
    try:
        assert await client.get("nothing") is None
        cable.cut_off(os.getpid())
        monkeypatch.setattr(redis_client, "_DEADLINE_S", 0.3)
        with pytest.raises(EventLogUnavailableError):
            await client.get("nothing")
        assert cable.held_back == 1
        # WHEN it speaks again THEN so does the client, and nobody gets what was answered too late
        cable.heal(os.getpid())
        monkeypatch.setattr(redis_client, "_DEADLINE_S", 30.0)
        await client.set("nothing", "now", px=60_000)
        assert await client.get("nothing") == "now"
        await client.delete("nothing")
    finally:
        cable.heal(os.getpid())
        await client.aclose()
        cable.cut()


async def test_who_waits_for_events_waits_as_long_as_he_said(thread_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.read(log_named(thread_id), after_seq=0, limit=1)
    monkeypatch.setattr(redis_client, "_DEADLINE_S", 1.0)
    assert await log.wait(log_named(thread_id), after_seq=0, limit=1, block_ms=1200) == []


async def test_a_redis_that_refuses_something_is_there(thread_id: UUID) -> None:
    with found_away_once():
        with pytest.raises(EventLogUnavailableError):
            await redis().eval("no script", 1, str(thread_id))
        assert await _seqs(thread_id) == []
