"""How long the stack adds before the first model token: ``make bench-first-token``.

Warm, random arrivals. Three series take turns in the same run, because a machine's speed changes by the minute:

- *run*: POST of a run to the first model token at a subscribed WebSocket client, minus what the model itself took;
- *echo*: one hop through the same stack (client, gateway, function, client): the ``ping`` command;
- *bare*: litellm streaming from the same model without a stack, minus what the model itself took.
"""

import argparse
import asyncio
import json
import os
import random
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.conversation import Conversation
from bench.model_calls import Model
from bench.report import distribution, report, sized
from bench.room import make_room
from clients.terminal.stack import Stack

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

FIRST_S = 0.05
SCRIPT = f"[[first {FIRST_S}]] [[tokens 20 rate 50]]"
MEAN_PAUSE_S = 0.4
# Runs overlap now and then; a warm stack has an environment for each of those that do.
WARM_UP_ROUNDS = sized(3, 1)
WARM_UP_AT_ONCE = 5


@dataclass
class Series:
    """Milliseconds of each kind."""

    run: list[float] = field(default_factory=list[float])
    echo: list[float] = field(default_factory=list[float])
    bare: list[float] = field(default_factory=list[float])


async def measure_run(stack: Stack, model: Model) -> float:
    """One run on a thread of its own."""
    mark = uuid.uuid4().hex
    async with Conversation(stack) as conversation:
        begun = time.perf_counter()
        first: float | None = None
        async for event in conversation.ask(f"{SCRIPT} {mark}"):
            if first is None and event["params"]["data"].get("event") == "content-block-delta":
                first = time.perf_counter() - begun
    if first is None:
        raise RuntimeError("a run ended without a token")
    return first * 1000 - await model.own_delay_ms(mark)


async def measure_echo(conversation: Conversation) -> float:
    """One ``ping``."""
    begun = time.perf_counter()
    await conversation.ping()
    return (time.perf_counter() - begun) * 1000


async def measure_bare(model: Model) -> float:
    """One completion by litellm, straight from the model."""
    mark = uuid.uuid4().hex
    begun = time.perf_counter()
    answer: Any = await litellm.acompletion(
        model="openai/scripted",
        api_base=f"{model.url}/v1",
        api_key="scripted",
        messages=[{"role": "user", "content": f"{SCRIPT} {mark}"}],
        stream=True,
    )
    first = 0.0
    async for chunk in answer:
        if not first and chunk.choices and chunk.choices[0].delta.content:
            first = (time.perf_counter() - begun) * 1000
    return first - await model.own_delay_ms(mark)


async def measure(runs: int) -> Series:
    """All series; arrivals are a Poisson process, so runs overlap now and then, as they do in life."""
    stack = Stack.running()
    fields = json.loads((Path(os.environ.get("SUNA_LOCAL_DIR", ".local")) / "stack.json").read_text(encoding="utf-8"))
    await make_room(fields["database_url"])
    model = Model(fields["model_url"])
    for _ in range(WARM_UP_ROUNDS):
        await asyncio.gather(*(measure_run(stack, model) for _ in range(WARM_UP_AT_ONCE)))
        await measure_bare(model)
    series = Series()
    arrivals = random.Random(1)
    async with Conversation(stack) as echo, asyncio.TaskGroup() as group:

        async def run_once() -> None:
            series.run.append(await measure_run(stack, model))

        for _ in range(runs):
            await asyncio.sleep(arrivals.expovariate(1 / MEAN_PAUSE_S))
            group.create_task(run_once())
            await asyncio.sleep(arrivals.expovariate(1 / MEAN_PAUSE_S))
            series.echo.append(await measure_echo(echo))
            series.bare.append(await measure_bare(model))
    return series


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=sized(100, 2))
    arguments = parser.parse_args()
    series = asyncio.run(measure(arguments.runs))
    run, echo, bare = distribution(series.run), distribution(series.echo), distribution(series.bare)
    report(
        "first-token",
        title=f"Milliseconds before the first token, the model's own time taken off ({arguments.runs} runs)",
        rows={"run through the stack": run, "echo (one hop)": echo, "bare litellm": bare},
        figures={
            "added_ms_p50": round(run["p50"], 1),
            "added_ms_p95": round(run["p95"], 1),
            "p95_over_p50": round(run["p95"] / run["p50"], 2),
            "echo_ms_p50": round(echo["p50"], 1),
            "bare_litellm_ms_p50": round(bare["p50"], 1),
            "run_over_echo_p50": round(run["p50"] / echo["p50"], 1),
            "runs": len(series.run),
        },
    )


if __name__ == "__main__":
    main()
