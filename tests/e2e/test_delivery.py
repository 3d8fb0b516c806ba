"""Whoever watches a thread, from whenever and through whatever, ends with the same events in the same order."""

import asyncio
import random
import time
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from clients.terminal.stack import Stack
from shared.stream.redis_client import Client
from tests.e2e.conftest import RunningStack
from tests.e2e.following import PATIENCE_S, eventually
from tests.e2e.threads import ended_run, new_thread, start_run
from tests.e2e.watching import Watcher, folded, told

CLIENTS = 10
LONG_RUN = "[[tokens 200 rate 10]]"


async def _ran(http: httpx.AsyncClient, thread_id: str, text: str) -> dict[str, Any]:
    return await ended_run(http, await start_run(http, thread_id, text))


async def _answers(http: httpx.AsyncClient, thread_id: str) -> dict[str, str]:
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    return {message["id"]: message["content"] for message in state["values"]["messages"] if message["type"] == "ai"}


async def _flush(stack: RunningStack) -> None:
    redis = Client(stack.fields["redis_url"])
    try:
        await redis.flushall()
    finally:
        await redis.aclose()


async def test_who_subscribes_after_the_end_with_since_0_gets_all(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    live, late = Watcher(client, thread_id), Watcher(client, thread_id)
    async with live.subscribed() as at:
        await _ran(http, thread_id, "[[tokens 30 rate 100]]")
        await live.until_end(at)
    async with late.subscribed(since=0) as at:
        await late.until_end(at)
    assert told(late.frames) == told(live.frames)
    assert [seq for seq, _, _ in told(late.frames)] == list(range(1, late.last_seq + 1))
    assert [frame["prev_seq"] for frame in late.frames] == list(range(late.last_seq))


async def test_who_subscribes_after_the_end_without_since_gets_the_next_run_only(
    http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    await _ran(http, thread_id, "[[say first]]")
    watcher = Watcher(client, thread_id)
    async with watcher.subscribed(since=None) as at:
        await _ran(http, thread_id, "[[say second]]")
        await watcher.until_end(at)
    assert list(folded(watcher.frames).values()) == ["second"]
    assert watcher.frames[0]["params"]["data"]["event"] == "running"


async def test_who_subscribes_in_the_middle_without_since_gets_the_run_from_its_beginning(
    http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    await _ran(http, thread_id, "[[say before]]")
    early, late = Watcher(client, thread_id), Watcher(client, thread_id)
    async with early.subscribed(since=None) as first:
        await start_run(http, thread_id, "[[tokens 40 rate 20]]")
        await early.until(first, lambda watcher: len(watcher.frames) > 8)
        async with late.subscribed(since=None) as second:
            await asyncio.gather(early.until_end(first), late.until_end(second))
    assert told(late.frames) == told(early.frames)


async def test_a_replay_that_outlives_its_run_ends_with_the_same_events_for_every_viewer(
    http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    for number in range(3):
        await _ran(http, thread_id, f"[[say answer {number}]] [[tokens 20 rate 0]]")
    viewers = [Watcher(client, thread_id) for _ in range(5)]

    async def view(viewer: Watcher) -> None:
        async with viewer.subscribed() as at:
            await viewer.until_end(at, ends=3)

    await asyncio.gather(*(view(viewer) for viewer in viewers))
    assert [told(viewer.frames) for viewer in viewers] == [told(viewers[0].frames)] * len(viewers)
    assert folded(viewers[0].frames) == await _answers(http, thread_id)


async def test_clients_that_are_cut_off_at_any_point_end_with_identical_events(
    http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    undisturbed = Watcher(client, thread_id)
    cut_off = [Watcher(client, thread_id) for _ in range(CLIENTS)]
    async with undisturbed.subscribed() as at:
        await start_run(http, thread_id, LONG_RUN)
        chances = [random.Random(number) for number in range(CLIENTS)]  # noqa: S311 - which points, and again the same
        cuts = await asyncio.gather(
            *(
                watcher.through_cuts(chance, shortest=1, longest=60)
                for watcher, chance in zip(cut_off, chances, strict=True)
            ),
            undisturbed.until_end(at),
        )
    expected = told(undisturbed.frames)
    assert len(expected) > 150
    assert [seq for seq, _, _ in expected] == list(range(1, len(expected) + 1))
    for watcher in cut_off:
        assert told(watcher.frames) == expected
    assert min(cut for cut in cuts if cut is not None) > 1
    # What is sent twice is what it was.
    by_seq = {seq: (event_id, data) for seq, event_id, data in expected}
    for frame in [frame for watcher in cut_off for frame in watcher.repeats]:
        assert by_seq[frame["seq"]] == (frame["event_id"], frame["params"]["data"])


async def test_an_emptied_log_is_a_declared_gap_and_the_state_is_the_databases(
    stack: RunningStack, http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    await _ran(http, thread_id, "[[say an earlier answer]]")
    live, back, late = (Watcher(client, thread_id) for _ in range(3))
    async with live.subscribed() as at:
        await start_run(http, thread_id, "[[tokens 60 rate 10]]")
        # GIVEN one that has gone away in the middle of an answer
        async with back.subscribed() as gone:
            await back.until(gone, lambda watcher: watcher.last_seq > 15)
        # WHEN everything in Redis is lost, and the run goes on
        await live.until(at, lambda watcher: watcher.last_seq > 20)
        await _flush(stack)
        await live.until_end(at, ends=2)
    async with back.subscribed() as at:
        await back.until_end(at, ends=2)
    async with late.subscribed() as at:
        await late.until_end(at)
    answers = await _answers(http, thread_id)
    assert len(answers) == 2
    for watcher in (live, back, late):
        names = [frame["params"]["data"].get("name") for frame in watcher.frames]
        assert "gap" in names
        for first, second in pairwise(watcher.frames):
            # THEN each gap is followed by a snapshot
            if first["params"]["data"].get("name") == "gap":
                assert second["method"] == "values"
        # ... numbers that nobody got are declared, and the state is right.
        assert _undeclared(watcher) == []
        state = folded(watcher.frames)
        assert {message_id: text for message_id, text in state.items() if message_id in answers} == answers


def _undeclared(watcher: Watcher) -> list[int]:
    got = {seq for seq, _, _ in told(watcher.frames)}
    for frame in watcher.frames:
        data = frame["params"]["data"]
        if data.get("name") == "gap":
            got |= set(range(data["payload"]["from"], data["payload"]["to"] + 1))
    return [seq for seq in range(1, watcher.last_seq) if seq not in got]


async def test_a_stop_of_a_run_that_nobody_executes_is_told_by_the_sender(
    http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    watcher = Watcher(client, thread_id)
    async with watcher.subscribed() as at:
        run = await start_run(http, thread_id, "[[say never]]", after_seconds=3600)
        answer = await http.post(f"/threads/{thread_id}/runs/{run['run_id']}/cancel")
        assert answer.status_code < 300, answer.text
        await watcher.until_end(at)
    assert watcher.frames[-1]["params"]["data"]["error"].startswith("stop: ")
    assert watcher.last_seq == len(told(watcher.frames))


async def test_a_wanted_channel_that_is_added_later_comes_from_where_it_says(
    http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    await _ran(http, thread_id, "[[say hello]]")
    watcher = Watcher(client, thread_id)
    async with watcher.subscribed(channels=["lifecycle"]) as at:
        await watcher.until_end(at)
        assert {frame["method"] for frame in watcher.frames} == {"lifecycle"}
        added = await watcher.ask(at, "subscription.subscribe", {"channels": ["messages"], "since": 0})
        assert added["type"] == "success", added
        await watcher.until(at, lambda one: any(_is_finish(frame) for frame in one.frames))
    everything = Watcher(client, thread_id)
    async with everything.subscribed() as at:
        await everything.until_end(at)
    assert sorted(told(watcher.frames), key=lambda one: one[0]) == told(everything.frames)


def _is_finish(frame: dict[str, Any]) -> bool:
    return frame["params"]["data"].get("event") == "message-finish"


async def test_since_in_the_future_is_refused(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    await _ran(http, thread_id, "[[say hello]]")
    watcher = Watcher(client, thread_id)
    with pytest.raises(AssertionError, match="invalid_argument"):
        async with watcher.subscribed(since=10**9):
            pass
    assert watcher.frames == []


async def test_an_end_of_the_credential_is_announced_at_the_ping(stack: RunningStack, account_id: str) -> None:
    # GIVEN a credential of few seconds, half of which are over, and a thread on which nothing happens
    ends_at = int(time.time()) + 8
    client = Stack(base_url=stack.base_url, token=stack.token(account_id, exp=ends_at))
    async with httpx.AsyncClient(base_url=stack.base_url, headers=client.headers, timeout=30) as http:
        watcher = Watcher(client, await new_thread(http))
        async with watcher.subscribed() as at:

            async def ping() -> list[dict[str, Any]]:
                assert (await watcher.ask(at, "ping"))["type"] == "success"
                return watcher.frames

            [announced] = await eventually(ping, bool)
    assert announced["params"]["data"] == {
        "name": "connection_expiring",
        "payload": {"expires_at": ends_at * 1000},
    }
    assert "seq" not in announced


async def test_a_connection_is_closed_when_its_credential_has_ended(
    stack: RunningStack, http: httpx.AsyncClient, account_id: str
) -> None:
    thread_id = await new_thread(http)
    idle, running = [
        Stack(base_url=stack.base_url, token=stack.token(account_id, exp=int(time.time()) + life_s))
        for life_s in (4, 8)
    ]
    async with Watcher(idle, thread_id).subscribed() as silent, Watcher(running, thread_id).subscribed() as watching:
        # In the middle of a run
        run = await start_run(http, thread_id, "[[tokens 300 rate 30]]")
        for socket in (silent, watching):
            async with asyncio.timeout(PATIENCE_S):
                async for _ in socket:
                    pass
        assert (await http.get(f"/threads/{thread_id}/runs/{run['run_id']}")).json()["status"] == "running"
    assert (await ended_run(http, run))["status"] == "success"


async def test_a_command_after_the_credentials_end_closes_the_connection(
    stack: RunningStack, http: httpx.AsyncClient, account_id: str
) -> None:
    client = Stack(base_url=stack.base_url, token=stack.token(account_id, exp=int(time.time()) + 3))
    watcher = Watcher(client, await new_thread(http))
    async with watcher.subscribed() as at:

        async def ping() -> bool:
            try:
                await watcher.ask(at, "ping")
            except ConnectionClosed:
                return True
            return False

        assert await eventually(ping, bool)


@pytest.mark.parametrize(
    ("sent", "code"),
    [("x" * (129 * 1024), 1009), (b"\x00\x01", 1003)],
    ids=["129 KB", "binary"],
)
async def test_what_the_gateway_does_not_take_closes_the_connection_with_a_code(
    http: httpx.AsyncClient, client: Stack, sent: str | bytes, code: int
) -> None:
    thread_id = await new_thread(http)
    watcher = Watcher(client, thread_id)
    async with watcher.subscribed() as at:
        await at.send(sent)
        with pytest.raises(ConnectionClosed):
            await at.recv()
        assert at.close_code == code
    # ... and the run is nobody's business of that.
    again = Watcher(client, thread_id)
    async with again.subscribed() as at:
        await _ran(http, thread_id, "[[say hello]]")
        await again.until_end(at)
