"""The stack on servers of the user: a PostgreSQL, and a Redis that is no cluster."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.schema import StreamPart
from redis.asyncio import Redis

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack, started
from tests.e2e.following import eventually
from tests.e2e.threads import cancelled, ended_run, new_thread, start_run
from tests.e2e.watching import Watcher, told
from tests.integration.servers import services


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningStack]:
    """A stack whose PostgreSQL and Redis were there before it."""
    with services() as urls:
        own = {"DATABASE_URL": urls["DATABASE_URL"], "REDIS_URL": urls["PLAIN_REDIS_URL"]}
        with started(tmp_path_factory.mktemp("own-servers"), **own) as running:
            yield running


@pytest.fixture
async def redis(stack: RunningStack) -> AsyncGenerator[Any]:
    """The user's Redis."""
    async with Redis.from_url(stack.fields["redis_url"], decode_responses=True) as client:
        yield client


async def _slice(client: Stack, run: dict[str, Any], *, last_event_id: str | None = None) -> list[StreamPart]:
    async with get_client(url=client.base_url, api_key=None, headers=client.headers) as sdk:
        parts = sdk.runs.join_stream(
            run["thread_id"], run["run_id"], stream_mode=["messages-tuple"], last_event_id=last_event_id
        )
        return [part async for part in parts]


def _tokens(parts: list[StreamPart]) -> list[str]:
    texts: list[str] = [part.data[0]["content"] for part in parts if part.event == "messages"]
    return "".join(texts).split()


async def test_an_ordinary_redis_is_all_that_is_needed(
    stack: RunningStack, redis: Any, http: httpx.AsyncClient, client: Stack, log_lines: Callable[[], list[Any]]
) -> None:
    # GIVEN a Redis that is no cluster, and no other
    assert (await redis.info("cluster"))["cluster_enabled"] == 0
    assert not [part for part in stack.fields["processes"] if part["name"] in {"redis", "postgres"}]
    thread_id = await new_thread(http)
    whole, back = Watcher(client, thread_id), Watcher(client, thread_id)
    # WHEN a run is watched over a WebSocket, over one that goes away and comes back, and in slices
    async with whole.subscribed() as at:
        run = await start_run(http, thread_id, "[[tokens 40 rate 20]]")
        async with back.subscribed() as gone:
            await back.until(gone, lambda watcher: watcher.last_seq > 8)
        joined = asyncio.create_task(_slice(client, run))
        await whole.until_end(at)
    async with back.subscribed() as at:
        await back.until_end(at)
    parts = await joined
    # THEN all have the same
    assert [seq for seq, *_ in told(whole.frames)] == list(range(1, whole.last_seq + 1))
    assert told(back.frames) == told(whole.frames)
    assert _tokens(parts) == [f"token{number}" for number in range(1, 41)]
    place = len(parts) // 2
    assert await _slice(client, run, last_event_id=str(parts[place].id)) == parts[place + 1 :]

    # ... and a run is stopped by whoever waits for it.
    async with whole.subscribed() as at:
        slow = await start_run(http, thread_id, "[[endless rate 20]]")
        await whole.until(
            at, lambda watcher: watcher.frames[-1]["params"]["data"].get("event") == "content-block-delta"
        )

        async def waiting() -> int:
            return (await redis.info("clients"))["blocked_clients"]

        assert await eventually(waiting, bool)
        assert (await cancelled(http, slow, wait=1))["status"] == "interrupted"
        await whole.until_end(at, ends=2)
    assert (await ended_run(http, run))["status"] == "success"
    # Nobody had to do without: what is asked of Redis in vain is a warning.
    assert [line for line in log_lines() if line.get("level") in {"WARNING", "ERROR"}] == []
