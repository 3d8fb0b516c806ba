"""Open WebSockets: what the gateway holds by itself, and through the real functions.

*Alone*: the gateway in a process of its own, an API without ``$connect``, 10,000 connections of which 100 are posted
to. *Through the functions*: 1,000 connections of the deployed stack, each authenticated and subscribed to a thread of
its own, while runs stream beside them. A connection that does not answer in the end was dropped.
"""

import asyncio
import json
import os
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import aiohttp
import httpx
import psutil

from bench.account import Bench
from bench.report import distribution, sized
from bench.stream_load import Rung, climb, through_stack
from bench.stream_part import Part
from bench.stream_sockets_client import Order, Told

ALONE, ACTIVE = sized((10_000, 100), (20, 2))
POSTS_PER_S, POSTING_S = 5.0, sized(10, 1)
POSTS_AT_ONCE = 16
THROUGH_FUNCTIONS, STREAMS_BESIDE = sized((1_000, 10), (4, 2))
PROCESSES = 4
LINE_BYTES = 64 * 1024 * 1024
SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/execute-api/aws4_request"}
GATEWAY = ".local/venvs/localstack/bin/python"


class _ClientProcess:
    """One of the client processes; it reads and writes lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("started without pipes")
        self.process, self._input, self._output = process, process.stdin, process.stdout

    async def ask(self, line: str) -> Any:
        """Its answer to a line."""
        self._input.write(line.encode() + b"\n")
        return json.loads(await self._output.readline())


class Crowd:
    """Client processes with open connections."""

    def __init__(self, processes: list[_ClientProcess], answers: list[dict[str, Any]]) -> None:
        self._processes = processes
        self.answers = answers

    async def tell(self) -> Told:
        """Ask every connection for a last answer."""
        every = [Told(**told) for told in await asyncio.gather(*(process.ask("") for process in self._processes))]
        return Told(sum(told.alive for told in every), [lag for told in every for lag in told.lags_ms])


@asynccontextmanager
async def crowd(
    urls: list[str], *, headers: dict[str, str], first: str, last: str, at_once: int
) -> AsyncIterator[Crowd]:
    """Open a connection to each URL, from as many addresses as there are processes."""
    processes: list[_ClientProcess] = []

    async def start(place: int) -> list[dict[str, Any]]:
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.stream_sockets_client",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
        )
        process = _ClientProcess(started)
        processes.append(process)
        order = Order(urls[place::PROCESSES], headers, f"127.0.0.{2 + place}", first, last, at_once)
        return [json.loads(answer) for answer in await process.ask(json.dumps(asdict(order)))]

    try:
        answers = await asyncio.gather(*(start(place) for place in range(PROCESSES)))
        yield Crowd(processes, [answer for some in answers for answer in some])
    finally:
        for client in processes:
            if client.process.returncode is None:
                client.process.kill()
            await client.process.wait()


@asynccontextmanager
async def gateway_alone(bench: Bench) -> AsyncIterator[tuple[psutil.Process, str]]:
    """A gateway in a process of its own that serves an API without functions: the process, the API's URL (http)."""
    api = bench.aws("apigatewayv2")
    selection = "$request.body.action"
    api_id = api.create_api(Name="bench", ProtocolType="WEBSOCKET", RouteSelectionExpression=selection)["ApiId"]
    # A stage serves an API that has a route; nobody asks for this one.
    name = bench.fields["outputs"]["WebSocketFunctionName"]
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    integration = api.create_integration(ApiId=api_id, IntegrationType="AWS_PROXY", IntegrationUri=uri)
    api.create_route(ApiId=api_id, RouteKey="never", Target=f"integrations/{integration['IntegrationId']}")
    api.create_stage(ApiId=api_id, StageName="live", AutoDeploy=True)
    arguments = ["-m", "suna_localstack.gateway", "--endpoint-url", bench.fields["aws_endpoint_url"], "--port", "0"]
    # Opening is not what is measured.
    fast = {"SUNA_GATEWAY_WEBSOCKET_CONNECT_RATE": "10000", "SUNA_GATEWAY_WEBSOCKET_CONNECT_BURST": "10000"}
    process = await asyncio.create_subprocess_exec(
        GATEWAY, *arguments, env=os.environ | fast, stdout=asyncio.subprocess.PIPE
    )
    try:
        line = (await process.stdout.readline()).decode() if process.stdout else ""
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"the gateway did not start: {line!r}")
        await _until_it_serves(found[0], api_id)
        yield psutil.Process(process.pid), f"{found[0]}/@ws/{api_id}/live"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        api.delete_api(ApiId=api_id)


async def _until_it_serves(base_url: str, api_id: str) -> None:
    """A gateway knows no API until its first poll has been answered; an API it knows refuses a bad upgrade with 400."""
    upgrade = {"connection": "upgrade", "upgrade": "websocket"}
    deadline = time.monotonic() + 10
    async with httpx.AsyncClient(base_url=base_url) as http:
        while (await http.get(f"/@ws/{api_id}/live", headers=upgrade)).status_code == 403:
            if time.monotonic() > deadline:
                raise RuntimeError("the gateway does not serve the bench's API")
            await asyncio.sleep(0.05)


async def alone(bench: Bench) -> dict[str, float]:
    """10,000 connections of the gateway, and posts to 100 of them."""
    async with gateway_alone(bench) as (process, url):
        before = process.memory_info().rss
        websocket_url = f"ws{url.removeprefix('http')}"
        # A message without a route is answered with the connection's id.
        async with crowd([websocket_url] * ALONE, headers={}, first="{}", last="{}", at_once=50) as connected:
            kib_each = (process.memory_info().rss - before) / ALONE / 1024
            posted, rate = await _post(
                url, [answer["connectionId"] for answer in connected.answers[:: ALONE // ACTIVE]]
            )
            told = await connected.tell()
    lag = distribution(told.lags_ms)
    return {
        "open": ALONE,
        "dropped": ALONE - told.alive,
        "KiB each": kib_each,
        "pushes": posted,
        "pushes/s": rate,
        "pushes lost": posted - len(told.lags_ms),
        "lag p50 ms": lag["p50"],
        "lag p99 ms": lag["p99"],
    }


async def _post(url: str, connection_ids: list[str]) -> tuple[int, float]:
    """Post to each connection at the rate, evenly spread; how many posts were accepted, and how many a second."""
    accepted = 0
    slots = asyncio.Semaphore(POSTS_AT_ONCE)
    connector = aiohttp.TCPConnector(limit=POSTS_AT_ONCE)
    async with aiohttp.ClientSession(headers=SIGNED, connector=connector) as http, asyncio.TaskGroup() as group:

        async def post(connection_id: str, due: float) -> None:
            nonlocal accepted
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            async with slots:
                # The lag is the gateway's: what waits for a slot has not been sent.
                body = json.dumps({"sent_at": time.time()})
                async with http.post(f"{url}/@connections/{connection_id}", data=body) as answer:
                    accepted += answer.ok

        begun = time.monotonic()
        every = 1 / POSTS_PER_S / len(connection_ids)
        posting = [
            group.create_task(post(connection_id, begun + round_ / POSTS_PER_S + place * every))
            for round_ in range(int(POSTS_PER_S * POSTING_S))
            for place, connection_id in enumerate(connection_ids)
        ]
        await asyncio.wait(posting)
    return accepted, accepted / (time.monotonic() - begun)


async def through_functions(bench: Bench) -> tuple[dict[str, float], Rung]:
    """1,000 connections of the stack, while runs stream to others."""
    thread_ids = [str(uuid.uuid4()) for _ in range(THROUGH_FUNCTIONS)]
    slots = asyncio.Semaphore(8)
    async with httpx.AsyncClient(base_url=bench.stack.base_url, headers=bench.stack.headers, timeout=60) as http:

        async def create(thread_id: str) -> None:
            async with slots:
                (await http.post("/threads", json={"thread_id": thread_id})).raise_for_status()

        await asyncio.gather(*(create(thread_id) for thread_id in thread_ids))
    subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["lifecycle", "messages"]}}
    urls = [bench.stack.websocket_url(thread_id) for thread_id in thread_ids]
    first, last = json.dumps(subscribe), json.dumps({"id": 2, "method": "ping"})
    async with crowd(urls, headers=bench.stack.headers, first=first, last=last, at_once=4) as connected:
        refused = sum(answer.get("type") != "success" for answer in connected.answers)
        rung = await climb(bench, STREAMS_BESIDE, through_stack)
        told = await connected.tell()
    lag = distribution(rung.lag_ms)
    row = {
        "open": THROUGH_FUNCTIONS,
        "dropped": THROUGH_FUNCTIONS - told.alive + refused,
        "pushes lost": rung.lost,
        "lag p50 ms": lag["p50"],
        "lag p99 ms": lag["p99"],
    }
    return row, rung


async def measure(bench: Bench) -> Part:
    """Both."""
    by_itself = await alone(bench)
    through, rung = await through_functions(bench)
    return Part(
        title=f"Open WebSockets: gateway alone ({ACTIVE} posted to), through the functions ({STREAMS_BESIDE} runs)",
        rows={"gateway alone": by_itself, "through the functions": through},
        figures={
            "websockets_open": ALONE,
            "websockets_dropped": by_itself["dropped"],
            "websocket_kib_each": round(by_itself["KiB each"], 1),
            "websocket_post_lag_ms_p50": round(by_itself["lag p50 ms"], 1),
            "websocket_post_lag_ms_p99": round(by_itself["lag p99 ms"], 1),
            "websockets_through_functions": THROUGH_FUNCTIONS,
            "websockets_through_functions_dropped": through["dropped"],
            "lag_ms_p99_of_10_streams_beside": round(distribution(rung.lag_ms)["p99"], 1),
        },
    )
