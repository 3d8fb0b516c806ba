"""Every client ends with the same events, however often its connection is cut."""

import asyncio
import json
import os
import random
from collections.abc import Callable
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bench.report import sized
from clients.terminal.stack import Stack
from shared.stream.redis_client import Client
from tests.e2e.conftest import RunningStack
from tests.e2e.following import ALL_CHANNELS, PATIENCE_S, command, events_of_run, next_frame, subscribed, text_of
from tests.e2e.threads import ended_run, new_thread, start_run, stored_messages
from tests.thread_logs import events_key

ENDS = {"completed", "failed"}
# `make cuts` is the same with more of everything; the tests have to be done in some minutes.
IS_LARGE = os.environ.get("CUTS") == "large"
AT_ONCE = 50 if IS_LARGE else sized(10, 2)
LEAST_EVENTS = 500 if IS_LARGE else sized(150, 5)
# Most of the events are of calls: what a model says is merged, the more so the less time a machine has.
_CALLS = "[[tools parallel" + ' http_fetch {"url": "ftp://no"}' * 12 + "]]"
ANSWER = (
    f"{_CALLS * 10} [[tokens 600 rate 30]]"
    if IS_LARGE
    else sized(f"{_CALLS * 3} [[tokens 150 rate 30]]", "[[tokens 15 rate 30]]")
)


async def _followed(
    client: Stack, thread_id: str, cut: Callable[[dict[str, Any]], bool], since: int = 0
) -> list[dict[str, Any]]:
    """What a client that honours ids has in the end, whose connection is cut after each event that ``cut`` names."""
    seen: dict[str, dict[str, Any]] = {}
    last = since
    while True:
        # Many come back at once, and wait for each other.
        url, headers = client.websocket_url(thread_id), client.headers
        try:
            socket = await connect(url, additional_headers=headers, open_timeout=PATIENCE_S)
        except InvalidStatus as refused:
            assert refused.response.status_code >= 500, "too many at once is the only reason to refuse them"
            await asyncio.sleep(0.5)  # between two attempts of a patient client
            continue
        async with socket:
            params = {"channels": ALL_CHANNELS, "since": last}
            await socket.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": params}))
            try:
                while True:
                    frame = await next_frame(socket)
                    if frame["type"] != "event" or frame["event_id"] in seen:
                        continue
                    assert frame["seq"] > last, "events arrive in order"
                    seen[frame["event_id"]] = frame
                    last = frame["seq"]
                    if frame["method"] == "lifecycle" and frame["params"]["data"]["event"] in ENDS:
                        return list(seen.values())
                    if cut(frame):
                        socket.transport.abort()
                        break
            except ConnectionClosed:
                continue


def _told(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Events without what belongs to the connection."""
    return [(event["seq"], event["event_id"], event["method"], event["params"]) for event in events]


async def test_clients_that_are_cut_off_end_with_what_the_others_have(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    chance = random.Random(7)  # noqa: S311 - no secret
    at_once = {seq for seq in range(1, 1000) if seq % 50 == 0}
    followers = [
        asyncio.create_task(_followed(client, thread_id, cut))
        for cut in (
            lambda _: False,
            lambda _: True,
            *[lambda _: chance.random() < 0.05] * sized(10, 2),
            *[lambda frame: frame["seq"] in at_once] * AT_ONCE,
        )
    ]
    run = await start_run(http, thread_id, ANSWER)
    uninterrupted, *others = [_told(events) for events in await asyncio.gather(*followers)]
    assert [seq for seq, *_ in uninterrupted] == list(range(1, len(uninterrupted) + 1))
    assert len(uninterrupted) >= LEAST_EVENTS
    assert all(other == uninterrupted for other in others)
    assert (await ended_run(http, run))["status"] == "success"

    # Long after the run has ended, cut off at every event again.
    assert _told(await _followed(client, thread_id, lambda _: True)) == uninterrupted


async def test_a_log_that_was_lost_is_declared_to_who_comes_back(
    stack: RunningStack, http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, "[[tokens 20 rate 0]]")
        events = await events_of_run(socket)
    await ended_run(http, run)
    redis = Client(stack.fields["redis_url"])
    await redis.delete(await events_key(stack.fields["database_url"], thread_id))
    await redis.aclose()
    async with subscribed(client, thread_id, since=3) as socket:
        gap, values, end = [await next_frame(socket) for _ in range(3)]
    # What happened is lost, but not that the run has ended: the database knows it.
    assert gap["params"]["data"] == {"name": "gap", "payload": {"from": 4, "to": events[-1]["seq"] - 1}}
    assert (end["seq"], end["params"]) == (events[-1]["seq"], events[-1]["params"])
    stored = await stored_messages(http, thread_id)
    assert [message["id"] for message in values["params"]["data"]["messages"]] == [
        message["message_id"] for message in stored
    ]

    # The thread goes on, and its numbers with it.
    async with subscribed(client, thread_id, since=events[-1]["seq"]) as socket:
        await start_run(http, thread_id, "[[say again]]")
        more = await events_of_run(socket)
    assert more[0]["seq"] > events[-1]["seq"]
    assert text_of(more).strip() == "again"


async def test_wrong_subscriptions_are_refused_and_the_connection_lives(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with connect(client.websocket_url(thread_id), additional_headers=client.headers) as socket:
        for params, problem in (
            ({"channels": ["chat"]}, "there is no channel 'chat'"),
            ({"channels": ["messages"], "since": 10**6}, "is in the future"),
            ({"channels": ["messages"], "since": -1}, "since"),
            ({"channels": []}, "channels"),
        ):
            answer = await command(socket, "subscription.subscribe", params)
            assert (answer["type"], answer["error"]) == ("error", "invalid_argument")
            assert problem in answer["message"]
        for number in range(33):
            answer = await command(socket, "subscription.subscribe", {"channels": ["values"]})
            assert answer["type"] == ("success" if number < 32 else "error")
        assert "32 subscriptions already" in answer["message"]
        nested = "[" * 20_000
        await socket.send(f'{{"id": 9, "method": "ping", "params": {nested}')
        assert (await next_frame(socket))["error"] == "invalid_argument"
        assert (await command(socket, "ping"))["type"] == "success"
