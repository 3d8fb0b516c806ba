"""Streams at once: how late their tokens come, how many pushes they cost, and whether any token is lost.

``[[tokens 300 rate 50]]`` each, after 2 to 4 seconds of the model's silence: as models do that think before they speak,
it streams when all runs have begun. The lag of a token is its arrival at the WebSocket client minus the model's own
time for it: token i is due at the model's first token plus (i - 1)/50 s, so what the model is late is in the lag, too.
The oldest token of a delta gives the delta's lag. *litellm alone*: N completions that this process reads, and does
nothing with. *One runner*: one invocation of the runner's function with a batch of N messages. *The stack*: N runs
posted at once; the local stage executes four batches of up to ten, so fewer than N may be streamed at a time. What
counts is how many the model streamed at once, by its own record.
"""

import asyncio
import gc
import json
import math
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from bench.account import ACCOUNT, Bench
from bench.model_calls import Call, Model
from bench.report import distribution, sized
from bench.stream_part import Part

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

TOKENS, RATE = sized(300, 20), 50
SCRIPT = f"[[tokens {TOKENS} rate {RATE}]]"
LADDER = sized((5, 10, 20, 30, 40, 50, 60), (2,))
MANY = sized(200, 2)
MOST_LAG_MS = 250.0
# The rung whose pushes are counted: no stream waits for another there.
PUSHES_AT = sized(10, 2)
WARM = sized(40, 2)
OPENINGS_AT_ONCE = 16
PATIENCE_S = 180.0
SILENCE_S = sized((2.0, 4.0), (0.1, 0.2))
# What a client may still wait for when the runner's invocation has answered.
AFTERWARDS_S = 10.0
# Others' work on the machine only makes it worse: a rung is tried again. After so many failed rungs nobody climbs on.
TRIES = sized(4, 1)
FAILED_RUNGS = 2
# SQS delays a message by 15 minutes at most: a message that comes after that finds its run ended.
LATER_S = 900
TERMINAL = frozenset({"completed", "failed", "interrupted"})


@dataclass
class Stream:
    """One client: its thread, the mark of its question, and what it got when (seconds since 1970)."""

    thread_id: str
    mark: str
    socket: ClientConnection
    run_id: str = ""
    frames: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    async def read(self) -> None:
        """Until the run's end."""
        async for raw in self.socket:
            frame = str(raw)
            self.frames.append((time.time(), frame))
            if '"lifecycle"' not in frame:
                continue
            said = json.loads(frame)
            if said.get("method") == "lifecycle" and said["params"]["data"]["event"] in TERMINAL:
                return
        raise RuntimeError("the connection was closed before the run ended")


@dataclass(frozen=True)
class Heard:
    """What a stream's frames say: arrivals of deltas with their tokens' numbers; frames a second of streaming."""

    deltas: list[tuple[float, list[int]]]
    pushes_per_s: float

    @property
    def lost(self) -> int:
        """Tokens that never came."""
        return TOKENS - len({number for _, numbers in self.deltas for number in numbers})


def hear(stream: Stream) -> Heard:
    """Read a stream's frames."""
    deltas: list[tuple[float, list[int]]] = []
    for arrived, raw in stream.frames:
        data = json.loads(raw).get("params", {}).get("data", {})
        if data.get("event") == "content-block-delta":
            words = data["delta"].get("text", "").split()
            deltas.append((arrived, [int(word.removeprefix("token")) for word in words]))
    if len(deltas) < 2:
        return Heard(deltas, 0.0)
    first, last = deltas[0][0], deltas[-1][0]
    pushes = sum(first <= arrived <= last for arrived, _ in stream.frames)
    return Heard(deltas, (pushes - 1) / (last - first))


@dataclass(frozen=True)
class Rung:
    """N streams: lags in milliseconds, tokens lost, pushes a second of each, and how many were streamed at once."""

    lag_ms: list[float]
    lost: int
    pushes_per_s: list[float]
    at_once: int
    model_late_ms: list[float]

    def holds(self) -> bool:
        """Whether all came whole and in time."""
        return not self.lost and distribution(self.lag_ms or [math.inf])["p99"] <= MOST_LAG_MS

    def row(self) -> dict[str, float]:
        """Its row in the table."""
        lag = distribution(self.lag_ms or [math.inf])
        return {
            "lag p50 ms": lag["p50"],
            "lag p99 ms": lag["p99"],
            "max": lag["max"],
            "the model's p50": distribution(self.model_late_ms or [math.inf])["p50"],
            "at once": self.at_once,
            "lost": self.lost,
            "pushes/s": distribution(self.pushes_per_s)["mean"],
        }


def rung_of(streams: list[Stream], calls: dict[str, Call]) -> Rung:
    """Compare what the streams got with when the model said it."""
    heard = {stream.mark: hear(stream) for stream in streams}
    return Rung(
        lag_ms=[
            (arrived - calls[mark].first_token_at - (numbers[0] - 1) / RATE) * 1000
            for mark, got in heard.items()
            for arrived, numbers in got.deltas
            if numbers and mark in calls
        ],
        lost=sum(got.lost for got in heard.values()),
        pushes_per_s=[got.pushes_per_s for got in heard.values()],
        at_once=_at_once([calls[mark] for mark in heard if mark in calls]),
        model_late_ms=_late_ms(calls.values()),
    )


async def _alone(bench: Bench, count: int) -> Rung:
    """``count`` streams that litellm reads from the model, here."""
    model = Model(bench.fields["model_url"])
    arrivals: dict[str, list[float]] = {uuid.uuid4().hex: [] for _ in range(count)}

    async def read(mark: str) -> None:
        answer: Any = await litellm.acompletion(
            model="openai/scripted",
            api_base=f"{model.url}/v1",
            api_key="scripted",
            messages=[{"role": "user", "content": _question(mark)}],
            stream=True,
        )
        async for chunk in answer:
            if chunk.choices and chunk.choices[0].delta.content:
                arrivals[mark].append(time.time())

    await asyncio.gather(*map(read, arrivals))
    calls = {call.text.split()[-1]: call for call in await model.calls(SCRIPT)}
    return Rung(
        lag_ms=[
            (arrived - calls[mark].first_token_at - number / RATE) * 1000
            for mark, times in arrivals.items()
            for number, arrived in enumerate(times)
        ],
        lost=sum(TOKENS - len(times) for times in arrivals.values()),
        pushes_per_s=[RATE],
        at_once=_at_once([calls[mark] for mark in arrivals]),
        model_late_ms=_late_ms(calls[mark] for mark in arrivals),
    )


def _late_ms(calls: Iterable[Call]) -> list[float]:
    """How long after its own time the model said its last token."""
    return [
        (call.finished_at - call.first_token_at - (TOKENS - 1) / RATE) * 1000
        for call in calls
        if call.finished_at is not None
    ]


def _question(mark: str) -> str:
    return f"[[first {random.uniform(*SILENCE_S):.2f}]] {SCRIPT} {mark}"


def _at_once(calls: list[Call]) -> int:
    moments = sorted(
        [(call.first_token_at, 1) for call in calls] + [(call.finished_at or call.first_token_at, -1) for call in calls]
    )
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


@asynccontextmanager
async def _clients(bench: Bench, http: httpx.AsyncClient, count: int) -> AsyncIterator[list[Stream]]:
    """``count`` clients, each connected to a thread of its own and subscribed."""
    slots = asyncio.Semaphore(OPENINGS_AT_ONCE)
    async with AsyncExitStack() as opened:

        async def open_one() -> Stream:
            async with slots:
                thread_id = str(uuid.uuid4())
                (await http.post("/threads", json={"thread_id": thread_id})).raise_for_status()
                url, headers = bench.stack.websocket_url(thread_id), bench.stack.headers
                # Environments that start at the same time wait for one another.
                connected = connect(url, additional_headers=headers, max_queue=None, open_timeout=PATIENCE_S)
                socket = await opened.enter_async_context(connected)
                subscribe = {"channels": ["lifecycle", "messages"]}
                await socket.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": subscribe}))
                answer = json.loads(await socket.recv())
                if answer["type"] != "success":
                    raise RuntimeError(f"a subscription was refused: {answer}")
                return Stream(thread_id, uuid.uuid4().hex, socket)

        yield list(await asyncio.gather(*(open_one() for _ in range(count))))


async def _post_all(http: httpx.AsyncClient, streams: list[Stream], *, after_s: int = 0) -> None:
    slots = asyncio.Semaphore(OPENINGS_AT_ONCE)

    async def post(stream: Stream) -> None:
        said = [{"role": "user", "content": _question(stream.mark)}]
        body = {"assistant_id": "agent", "input": {"messages": said}}
        async with slots:
            answer = await http.post(f"/threads/{stream.thread_id}/runs", json=body | {"after_seconds": after_s})
        answer.raise_for_status()
        stream.run_id = answer.json()["run_id"]

    await asyncio.gather(*(post(stream) for stream in streams))


async def through_stack(_: Bench, http: httpx.AsyncClient, streams: list[Stream]) -> float:
    """Post the runs as fast as they are taken."""
    await _post_all(http, streams)
    return PATIENCE_S


async def _through_one_runner(bench: Bench, http: httpx.AsyncClient, streams: list[Stream]) -> float:
    """Record the runs for later, make them due, and have one invocation execute them all."""
    await _post_all(http, streams, after_s=LATER_S)
    run_ids = [uuid.UUID(stream.run_id) for stream in streams]
    await bench.execute("UPDATE agent_runs SET not_before = now() WHERE agent_run_id = ANY($1::uuid[])", run_ids)
    records = [
        {
            "messageId": str(uuid.uuid4()),
            "body": json.dumps({"agent_run_id": stream.run_id, "thread_id": stream.thread_id, "account_id": ACCOUNT}),
        }
        for stream in streams
    ]
    function = bench.fields["outputs"]["QueueRunnerFunctionName"]
    payload = json.dumps({"Records": records})
    answer = await asyncio.to_thread(bench.aws("lambda").invoke, FunctionName=function, Payload=payload)
    if "FunctionError" in answer:
        raise RuntimeError(f"the runner failed: {answer['Payload'].read()[:1000]!r}")
    return AFTERWARDS_S


type Way = Callable[[Bench, httpx.AsyncClient, list[Stream]], Coroutine[Any, Any, float]]
"""Has the streams' runs executed; answers how many seconds more their clients may wait for their ends."""


async def climb(bench: Bench, count: int, way: Way) -> Rung:
    """``count`` streams that way. What has not come when the clients' patience ends is lost."""
    model = Model(bench.fields["model_url"])
    limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
    async with (
        httpx.AsyncClient(
            base_url=bench.stack.base_url, headers=bench.stack.headers, timeout=60, limits=limits
        ) as http,
        _clients(bench, http, count) as streams,
    ):
        reading = {asyncio.create_task(stream.read()): stream for stream in streams}
        patience_s = await way(bench, http, streams)
        _, late = await asyncio.wait(reading, timeout=patience_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*(_stop(http, reading[task]) for task in late))
        await asyncio.gather(*(task for task in reading if task not in late))
    calls = {call.text.split()[-1]: call for call in await model.calls(SCRIPT)}
    return rung_of(streams, {stream.mark: calls[stream.mark] for stream in streams if stream.mark in calls})


async def _stop(http: httpx.AsyncClient, stream: Stream) -> None:
    """A run that nobody waits for must not disturb the next rung."""
    await http.post(f"/threads/{stream.thread_id}/runs/{stream.run_id}/cancel")


async def measure(bench: Bench) -> Part:
    """Both ways up the ladder, taking turns; then the many."""
    ways: dict[str, Callable[[Bench, int], Awaitable[Rung]]] = {
        "litellm alone": _alone,
        "one runner": partial(climb, way=_through_one_runner),
        "the stack": partial(climb, way=through_stack),
    }
    gc.freeze()  # as the runner does: a full collection is a pause
    for way, count in ((through_stack, WARM), (through_stack, WARM), (_through_one_runner, 5)):  # warm
        await climb(bench, count, way)
    rungs: dict[str, dict[int, Rung]] = {name: {} for name in ways}
    failed = dict.fromkeys(ways, 0)
    for count in LADDER:
        for name, way in ways.items():
            if failed[name] == FAILED_RUNGS:
                continue
            for _ in range(TRIES):
                rungs[name][count] = rung = await way(bench, count)
                print(f"{name}, {count}: {', '.join(f'{key} {value:.1f}' for key, value in rung.row().items())}")
                if rung.holds():
                    break
            else:
                failed[name] += 1
    many = await climb(bench, MANY, through_stack)

    def largest(name: str) -> int:
        return max((rung.at_once for rung in rungs[name].values() if rung.holds()), default=0)

    pushes = distribution(rungs["the stack"][PUSHES_AT].pushes_per_s)
    return Part(
        title=f"Streams of {TOKENS} tokens at {RATE}/s: a token's lag behind the model's own time for it",
        rows={f"{name}, {count}": rung.row() for name, climbed in rungs.items() for count, rung in climbed.items()}
        | {f"the stack, {MANY}": many.row()},
        figures={
            "streams_at_250ms": largest("the stack"),
            "streams_one_runner_at_250ms": largest("one runner"),
            "streams_litellm_alone_at_250ms": largest("litellm alone"),
            "lag_ms_p99_at_10": round(distribution(rungs["the stack"][PUSHES_AT].lag_ms)["p99"], 1),
            "lost_at_200": many.lost,
            "pushes_per_s_per_stream": round(pushes["mean"], 1),
            "pushes_per_s_per_stream_max": round(pushes["max"], 1),
        },
    )
