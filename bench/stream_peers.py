"""Other servers with the same scripted model behind them, and the clients that time their first token.

Each runs as its documentation says, in an environment of its own (``locks/bench-peers.txt``), with what its operator
may set, set in its favour: ten runs at once, blocking calls unguarded, no tracing, quiet logs.
"""

import asyncio
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from websockets.asyncio.client import connect

from tests.ports import free_port

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".local" / "venvs" / "bench-peers"
START_S = 60.0
END_S = 5.0
JOBS = 10
DATABASE = "bench_aegra"
GRAPH = ROOT / "bench" / "peers"

# What a run or a token may wait for in their sources: package, file, pattern. Each is printed as it stands there.
POLLS = (
    ("langgraph_runtime_inmem", "ops.py", r"asyncio\.sleep\(0\.\d+\)|timeout=0\.\d+"),
    ("aegra_api", "services/broker.py", r"timeout=0\.\d+"),
    ("aegra_api", "services/redis_broker.py", r"timeout=0\.\d+"),
    ("aegra_api", "services/event_streaming/session.py", r"_POLL_INTERVAL_SECONDS = [\d.]+"),
    ("aegra_api", "settings.py", r"(?:BLPOP_TIMEOUT|POSTGRES_POLL_INTERVAL)_SECONDS: \w+ = .*"),
)


class PeerError(Exception):
    """A peer did not start, or gave no token."""


def poll_intervals() -> list[str]:
    """The lines of the peers' sources that say how long they sleep or wait at most: ``package/file:line: text``."""
    (packages,) = ENVIRONMENT.glob("lib/python3*/site-packages")
    found: list[str] = []
    for package, file, pattern in POLLS:
        for number, line in enumerate((packages / package / file).read_text(encoding="utf-8").splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{package}/{file}:{number}: {line.strip()}")
    return found


@asynccontextmanager
async def _running(
    folder: Path, arguments: list[str], *, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process in ``folder`` until the block ends."""
    with (folder / "log.txt").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=folder, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        try:
            process.terminate()
            await asyncio.wait_for(process.wait(), END_S)
        except ProcessLookupError:
            pass  # it has ended
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _serving(
    folder: Path, arguments: list[str], *, ready: str, environment: dict[str, str], graph: Path = GRAPH
) -> AsyncIterator[str]:
    """A server (``{port}`` among its arguments) with the graph of a folder; its base URL once ``ready`` answers."""
    shutil.copytree(graph, folder)
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    arguments = [argument.format(port=port) for argument in arguments]
    quiet = {"LANGSMITH_TRACING": "false", "LOG_LEVEL": "WARNING"}
    async with (
        _running(folder, arguments, environment=quiet | environment) as process,
        httpx.AsyncClient(base_url=base_url) as http,
    ):
        deadline = time.monotonic() + START_S
        while not await _answers(http, ready):
            if process.returncode is not None or time.monotonic() > deadline:
                said = (folder / "log.txt").read_text(errors="replace")
                raise PeerError(f"{arguments[0]} did not start: {said[-2000:]}")
            await asyncio.sleep(0.2)
        yield base_url


async def _answers(http: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await http.get(path)).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def plain_redis(folder: Path, *, server: str) -> AsyncIterator[str]:
    """A Redis that is no cluster, whose keys Aegra uses across slots; its URL."""
    port = free_port()
    arguments = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    async with _running(folder, arguments, environment={}) as process:
        client = Redis.from_url(f"redis://127.0.0.1:{port}/0", retry=Retry(ConstantBackoff(0.1), int(START_S * 10)))
        await client.ping()
        await client.aclose()
        if process.returncode is not None:
            raise PeerError("Redis did not start")
        yield f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def langgraph_dev(folder: Path, *, model_url: str, graph: Path = GRAPH) -> AsyncIterator[str]:
    """``langgraph dev`` (PyPI langgraph-cli[inmem]): everything in one process and in memory."""
    command = [str(ENVIRONMENT / "bin" / "langgraph"), "dev", "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--no-reload", "--no-browser", "--allow-blocking", "--n-jobs-per-worker", str(JOBS)]
    environment = {"BENCH_MODEL_URL": model_url, "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    async with _serving(folder, command, ready="/ok", environment=environment, graph=graph) as base_url:
        yield base_url


@asynccontextmanager
async def aegra(folder: Path, *, model_url: str, database_url: str, redis_url: str | None = None) -> AsyncIterator[str]:
    """Aegra (PyPI aegra-api) on a database of its own; with ``redis_url`` its runs go through Redis to workers."""
    administration = await asyncpg.connect(database_url)
    name = f"{DATABASE}_{uuid.uuid4().hex[:8]}"
    await administration.execute(f"CREATE DATABASE {name}")
    environment = {
        "BENCH_MODEL_URL": model_url,
        "DATABASE_URL": f"{database_url.rpartition('/')[0]}/{name}",
        "AEGRA_CONFIG": "langgraph.json",
        "REDIS_BROKER_ENABLED": "true" if redis_url else "false",
        "REDIS_URL": redis_url or "",
    }
    command = [str(ENVIRONMENT / "bin" / "python"), "-m", "uvicorn", "aegra_api.main:app"]
    command += ["--host", "127.0.0.1", "--port", "{port}"]
    try:
        async with _serving(folder, command, ready="/health", environment=environment) as base_url:
            yield base_url
    finally:
        await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await administration.close()


async def first_token_websocket(base_url: str, text: str) -> float:
    """Milliseconds from ``run.start`` to the first token, over an open and subscribed WebSocket."""
    thread_id = str(uuid.uuid4())
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as http:
        (await http.post("/threads", json={"thread_id": thread_id})).raise_for_status()
    async with connect(f"ws{base_url.removeprefix('http')}/threads/{thread_id}/stream/events") as socket_:
        subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["lifecycle", "messages"]}}
        await socket_.send(json.dumps(subscribe))
        await socket_.recv()
        start = {"id": 2, "method": "run.start", "params": _run(text)}
        first: float | None = None
        begun = time.perf_counter()
        await socket_.send(json.dumps(start))
        async for raw in socket_:
            said = json.loads(raw)
            data = said.get("params", {}).get("data", {})
            if first is None and data.get("event") == "content-block-delta":
                first = (time.perf_counter() - begun) * 1000
            if said.get("method") == "lifecycle" and data.get("event") in {"completed", "failed"}:
                break
    if first is None:
        raise PeerError("a run ended without a token")
    return first


async def first_token_sse(base_url: str, text: str) -> float:
    """Milliseconds from the POST of a run to the first token, over the server-sent events of its answer."""
    thread_id = str(uuid.uuid4())
    first: float | None = None
    line = ""
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as http:
        (await http.post("/threads", json={"thread_id": thread_id})).raise_for_status()
        begun = time.perf_counter()
        body = _run(text) | {"stream_mode": ["messages-tuple"]}
        async with http.stream("POST", f"/threads/{thread_id}/runs/stream", json=body) as answer:
            async for read in answer.aiter_lines():
                line = read or line
                if first is None and line.startswith("data: [") and json.loads(line[6:])[0].get("content"):
                    first = (time.perf_counter() - begun) * 1000
    if first is None:
        raise PeerError(f"a run of {base_url} ended without a token, its last line was {line!r}")
    return first


def _run(text: str) -> dict[str, object]:
    return {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": text}]}}
