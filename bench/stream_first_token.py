"""The first model token at a client: ours, other servers, and litellm without any server.

Random arrivals on warm servers; all take turns in one run, because a machine's speed changes by the minute. The model's
own 50 ms are part of every figure, so that a ratio is that of what a user waits for. Each server's own best way is
taken: its client is connected before the clock starts.
"""

import asyncio
import os
import random
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import stream_peers
from bench.account import Bench
from bench.conversation import Conversation
from bench.model_calls import Model
from bench.report import distribution
from bench.stream_part import Part

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

SCRIPT = "[[first 0.05]] [[tokens 20 rate 50]]"
MEAN_PAUSE_S = 0.25
WARM_UP_ROUNDS = 5

OURS, BARE = "ours", "bare litellm"
LANGGRAPH_WEBSOCKET, LANGGRAPH_SSE = "langgraph dev, WebSocket", "langgraph dev, SSE"
AEGRA, AEGRA_REDIS = "aegra, in its process", "aegra, Redis workers"

type FirstToken = Callable[[str], Awaitable[float]]
"""From asking ``text`` to the first token at the client, in milliseconds."""


async def measure(bench: Bench, runs: int) -> Part:
    """``runs`` first tokens of each."""
    model = Model(bench.fields["model_url"])
    async with AsyncExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="bench-peers-")))
        database_url = bench.fields["database_url"]
        redis_url = await servers.enter_async_context(stream_peers.plain_redis(folder, server=_redis_server(bench)))
        langgraph = await servers.enter_async_context(
            stream_peers.langgraph_dev(folder / "langgraph", model_url=model.url)
        )
        aegra = await servers.enter_async_context(
            stream_peers.aegra(folder / "aegra", model_url=model.url, database_url=database_url)
        )
        aegra_redis = await servers.enter_async_context(
            stream_peers.aegra(
                folder / "aegra-redis", model_url=model.url, database_url=database_url, redis_url=redis_url
            )
        )
        took = await _take_turns(
            {
                OURS: lambda text: _ours(bench, text),
                LANGGRAPH_WEBSOCKET: lambda text: stream_peers.first_token_websocket(langgraph, text),
                LANGGRAPH_SSE: lambda text: stream_peers.first_token_sse(langgraph, text),
                AEGRA: lambda text: stream_peers.first_token_sse(aegra, text),
                AEGRA_REDIS: lambda text: stream_peers.first_token_sse(aegra_redis, text),
                BARE: lambda text: _bare(model, text),
            },
            runs,
        )
    p50 = {name: distribution(values)["p50"] for name, values in took.items()}
    theirs = min(p50[LANGGRAPH_WEBSOCKET], p50[LANGGRAPH_SSE])
    print("What a run or a token may wait for in the others' sources:")
    for line in stream_peers.poll_intervals():
        print(f"  {line}")
    return Part(
        title=f"Milliseconds to the first token at the client, the model's own 50 ms included ({runs} each)",
        rows={name: distribution(values) for name, values in took.items()},
        figures={
            "first_token_ms_p50": round(p50[OURS], 1),
            "first_token_over_bare_ms_p50": round(p50[OURS] - p50[BARE], 1),
            "first_token_langgraph_dev_ms_p50": round(theirs, 1),
            "first_token_ratio_langgraph_dev": round(p50[OURS] / theirs, 2),
            "first_token_ratio_aegra": round(p50[OURS] / p50[AEGRA], 2),
            "first_token_ratio_aegra_redis": round(p50[OURS] / p50[AEGRA_REDIS], 2),
            "first_tokens": runs,
        },
    )


async def _take_turns(sides: dict[str, FirstToken], runs: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(WARM_UP_ROUNDS):
        for ask in sides.values():
            await asyncio.gather(*(ask(_text()) for _ in range(2)))
    arrivals = random.Random(1)
    order = list(sides)
    async with asyncio.TaskGroup() as group:

        async def ask_once(name: str) -> None:
            took[name].append(await sides[name](_text()))

        for _ in range(runs):
            arrivals.shuffle(order)
            for name in order:
                await asyncio.sleep(arrivals.expovariate(1 / MEAN_PAUSE_S))
                group.create_task(ask_once(name))
    return took


def _redis_server(bench: Bench) -> str:
    """The server's file that the stack runs, or the machine's."""
    own = [process["command"][0] for process in bench.fields["processes"] if process["name"] == "redis"]
    return own[0].split()[0] if own else "redis-server"


def _text() -> str:
    return f"{SCRIPT} {uuid.uuid4().hex}"


async def _ours(bench: Bench, text: str) -> float:
    first: float | None = None
    async with Conversation(bench.stack) as conversation:
        begun = time.perf_counter()
        async for event in conversation.ask(text):
            if first is None and event["params"]["data"].get("event") == "content-block-delta":
                first = (time.perf_counter() - begun) * 1000
    if first is None:
        raise RuntimeError("a run ended without a token")
    return first


async def _bare(model: Model, text: str) -> float:
    first: float | None = None
    begun = time.perf_counter()
    answer: Any = await litellm.acompletion(
        model="openai/scripted",
        api_base=f"{model.url}/v1",
        api_key="scripted",
        messages=[{"role": "user", "content": text}],
        stream=True,
    )
    async for chunk in answer:
        if first is None and chunk.choices and chunk.choices[0].delta.content:
            first = (time.perf_counter() - begun) * 1000
    if first is None:
        raise RuntimeError("the model has said nothing")
    return first
