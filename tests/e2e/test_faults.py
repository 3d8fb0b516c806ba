"""Faults in the deployed stack: real processes killed and stopped, a real Redis emptied, in the middle of an answer."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from redis import RedisCluster

from clients.terminal.stack import Stack
from tests.e2e.conftest import LOCAL_DIR, RunningStack
from tests.e2e.following import eventually, next_frame, subscribed
from tests.e2e.threads import ended_run, new_thread, start_run, stored_messages

# Four seconds of answer.
ANSWER = "[[tokens 80 rate 20]]"
PATIENCE_S = 60.0
_STARTED = re.compile(r"START RequestId: .*Pid: (\d+)")


def _log(stack: RunningStack, thread_id: str) -> list[dict[str, Any]]:
    """The thread's log."""
    redis: Any = RedisCluster.from_url(stack.fields["redis_url"], decode_responses=True)
    return [json.loads(entry["frame"]) for _, entry in redis.xrange(f"{{{thread_id}}}:events")]


def _undeclared(frames: list[dict[str, Any]]) -> set[int]:
    """Numbers that are neither in the log nor declared missing."""
    numbers = [frame["seq"] for frame in frames]
    assert numbers == sorted(set(numbers))
    missing = set(range(1, numbers[-1] + 1)) - set(numbers)
    for frame in frames:
        data = frame["params"]["data"]
        if data.get("name") == "gap":
            missing -= set(range(data["payload"]["from"], data["payload"]["to"] + 1))
    return missing


def _ends(frames: list[dict[str, Any]], run: dict[str, Any]) -> list[str]:
    return [
        frame["params"]["data"]["event"]
        for frame in frames
        if frame["method"] == "lifecycle"
        and frame["params"]["run_id"] == run["run_id"]
        and frame["params"]["data"]["event"] != "running"
    ]


async def _begun(
    http: httpx.AsyncClient, client: Stack, log_lines: Callable[[], list[dict[str, Any]]]
) -> tuple[dict[str, Any], int]:
    """A run whose answer is on its way, and the process that executes it."""
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, ANSWER)
        said = 0
        while said < 3:
            frame = await next_frame(socket)
            said += frame.get("params", {}).get("data", {}).get("event") == "content-block-delta"
    return run, _executor(run, log_lines)


def _executor(run: dict[str, Any], log_lines: Callable[[], list[dict[str, Any]]]) -> int:
    """The process that has claimed the run last: the one whose invocation began last before that."""
    claims = [
        line for line in log_lines() if line.get("message") == "claimed" and line.get("agent_run_id") == run["run_id"]
    ]
    text = (LOCAL_DIR / "logs" / f"{claims[-1]['file']}.log").read_text(encoding="utf-8", errors="replace")
    claimed_at = max(found.start() for found in re.finditer(rf'"claimed".*{run["run_id"]}', text))
    return int(_STARTED.findall(text[:claimed_at])[-1])


async def _survived(stack: RunningStack, http: httpx.AsyncClient, run: dict[str, Any]) -> list[dict[str, Any]]:
    """The run has ended well, once, and told of it; returns its thread's log."""
    assert (await ended_run(http, run))["status"] == "success"

    async def frames() -> list[dict[str, Any]]:
        return await asyncio.to_thread(_log, stack, run["thread_id"])

    told = await eventually(frames, lambda found: bool(_ends(found, run)))
    assert _ends(told, run) == ["completed"]
    assert _undeclared(told) == set()
    kinds = [message["type"] for message in await stored_messages(http, run["thread_id"])]
    assert kinds == ["user", "assistant"]
    return told


async def test_a_killed_runner_is_taken_over(
    stack: RunningStack, http: httpx.AsyncClient, client: Stack, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    run, pid = await _begun(http, client, log_lines)
    os.kill(pid, signal.SIGKILL)
    told = await _survived(stack, http, run)
    data = [frame["params"]["data"] for frame in told]
    assert {"name": "run_taken_over", "payload": {"attempt": 2}} in data
    assert any(found.get("code") == "abandoned" for found in data)


async def test_a_runner_that_sleeps_past_its_lease_says_nothing_when_it_wakes_up(
    stack: RunningStack, http: httpx.AsyncClient, client: Stack, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    run, pid = await _begun(http, client, log_lines)
    os.kill(pid, signal.SIGSTOP)
    try:
        told = await _survived(stack, http, run)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert any(frame["params"]["data"].get("name") == "run_taken_over" for frame in told)

    async def lost() -> bool:
        return any(
            line.get("message") == "the lease was lost" and line.get("agent_run_id") == run["run_id"]
            for line in log_lines()
        )

    await eventually(lost, bool)
    assert await asyncio.to_thread(_log, stack, run["thread_id"]) == told


@pytest.mark.parametrize("loss", ["emptied", "killed"])
async def test_a_lost_redis_is_declared(
    stack: RunningStack,
    http: httpx.AsyncClient,
    client: Stack,
    log_lines: Callable[[], list[dict[str, Any]]],
    loss: str,
) -> None:
    run, _ = await _begun(http, client, log_lines)
    redis: Any = RedisCluster.from_url(stack.fields["redis_url"], decode_responses=True)
    if loss == "emptied":
        redis.flushall()
    else:
        os.kill(int(redis.info("server")["process_id"]), signal.SIGKILL)
    told = await _survived(stack, http, run)
    assert any(frame["params"]["data"].get("name") == "gap" for frame in told)
    assert any(frame["method"] == "values" for frame in told)
