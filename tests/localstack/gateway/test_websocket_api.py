"""WebSocket APIs through a gateway; once in LocalStack's process, once standalone."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.localstack.gateway.conftest import SIGNED, Deployed, StartGateway, client, until


@asynccontextmanager
async def connected(
    gateway: str, deployed: Deployed, path: str = "/", **arguments: Any
) -> AsyncIterator[tuple[ClientConnection, str]]:
    """Open a connection; yields it and its id, as the `$connect` event gave it."""
    before = len(deployed.events())
    async with connect(gateway.replace("http://", "ws://") + path, **arguments) as websocket:
        event = next(e for e in deployed.events()[before:] if e.get("requestContext", {}).get("eventType") == "CONNECT")
        yield websocket, event["requestContext"]["connectionId"]


async def disconnect_event(deployed: Deployed, connection_id: str) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        contexts = [event["requestContext"] for event in deployed.events(connection_id)]
        return next((context for context in contexts if context["eventType"] == "DISCONNECT"), None)

    event = await until(find)
    assert event
    return event


async def close_code(websocket: ClientConnection) -> int | None:
    await asyncio.wait_for(websocket.wait_closed(), 10)
    return websocket.close_code


async def test_connect_message_and_disconnect_reach_the_function(gateway: str, deployed: Deployed) -> None:
    async with connected(gateway, deployed, "/?a=1&a=2", user_agent_header="agent") as (websocket, connection_id):
        await websocket.send('{"action": "unknown"}')
        assert json.loads(await websocket.recv())["route"] == "$default"
        await websocket.send("no JSON")
        assert json.loads(await websocket.recv())["body"] == "no JSON"
    reported = await disconnect_event(deployed, connection_id)
    assert (reported["disconnectStatusCode"], reported["disconnectReason"]) == (1000, "")
    opened, message, *_ = deployed.events(connection_id)
    assert opened["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert opened["queryStringParameters"] == {"a": "2"}
    assert opened["requestContext"]["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "agent"}
    assert opened["requestContext"]["stage"] == "test"
    assert "headers" not in message and message["body"] == '{"action": "unknown"}'
    assert message["requestContext"]["connectedAt"] == opened["requestContext"]["connectedAt"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("status=401", 401),
        ("status=403", 403),
        ("status=404", 404),
        ("status=500", 502),
        ("status=302", 502),
        ("crash=", 502),
        ("malformed=", 502),
    ],
)
async def test_connect_can_refuse(gateway: str, query: str, status: int) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(f"{gateway.replace('http', 'ws', 1)}/?{query}")
    assert refused.value.response.status_code == status


@pytest.mark.parametrize(
    ("path", "status"), [("/elsewhere", 403), ("/@ws/unknown/test", 403), ("/?x=" + "x" * 4096, 414)]
)
async def test_an_upgrade_elsewhere_is_refused(gateway: str, path: str, status: int) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(gateway.replace("http", "ws", 1) + path)
    assert refused.value.response.status_code == status


async def test_a_thread_stream_goes_to_the_websocket_api(gateway: str, deployed: Deployed) -> None:
    path = "/threads/t%201/stream/events?thread_id=other"
    async with connected(gateway, deployed, path) as (_, connection_id):
        assert deployed.events(connection_id)[0]["queryStringParameters"] == {"thread_id": "t 1"}


async def test_a_subprotocol_is_the_functions_choice(gateway: str, deployed: Deployed) -> None:
    protocols = [websockets.Subprotocol("chat"), websockets.Subprotocol("other")]
    async with connected(gateway, deployed, "/?subprotocol=chat", subprotocols=protocols) as (websocket, _):
        assert websocket.subprotocol == "chat"
    async with connected(gateway, deployed, subprotocols=protocols) as (websocket, _):
        assert websocket.subprotocol is None


async def test_only_routes_with_a_response_answer(gateway: str, deployed: Deployed) -> None:
    async with connected(gateway, deployed) as (websocket, _):
        await websocket.send('{"action": "notify"}')
        await websocket.send('{"action": "default"}')
        assert json.loads(await websocket.recv())["body"] == {"action": "default"}


async def test_errors_reach_the_client(gateway: str, deployed: Deployed) -> None:
    async with connected(gateway, deployed) as (websocket, connection_id):
        for message, expected in (
            ({"action": "notify", "crash": True}, "Internal server error"),
            ({"action": "short", "sleep_s": 2}, "Endpoint request timed out"),
        ):
            await websocket.send(json.dumps(message))
            error = json.loads(await websocket.recv())
            assert error.keys() == {"message", "connectionId", "requestId"}
            assert (error["message"], error["connectionId"]) == (expected, connection_id)


async def test_messages_of_a_connection_run_concurrently(gateway: str, deployed: Deployed) -> None:
    async with connected(gateway, deployed) as (websocket, _):
        await websocket.send('{"sleep_s": 1}')
        await websocket.send('{"sleep_s": 0}')
        assert json.loads(await websocket.recv())["body"] == {"sleep_s": 0}
        assert json.loads(await websocket.recv())["body"] == {"sleep_s": 1}


async def test_more_messages_than_run_at_once_all_get_an_answer(
    start_gateway: StartGateway, deployed: Deployed
) -> None:
    with start_gateway(websocket_concurrency=2) as (_, url):
        async with connected(url, deployed) as (websocket, _):
            for number in range(30):
                await websocket.send(json.dumps({"number": number}))
            answers = [json.loads(await asyncio.wait_for(websocket.recv(), 10)) for _ in range(30)]
            assert sorted(answer["body"]["number"] for answer in answers) == list(range(30))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"binary", 1003),
        ("x" * (32 * 1024 + 1), 1009),
        (["x" * 32 * 1024] * 4 + ["x"], 1009),
    ],
    ids=["binary", "frame over 32 KB", "message over 128 KB"],
)
async def test_what_may_not_be_sent_closes_the_connection(
    gateway: str, deployed: Deployed, message: bytes | str | list[str], code: int
) -> None:
    async with connected(gateway, deployed) as (websocket, connection_id):
        await websocket.send(message)
        assert await close_code(websocket) == code
    assert (await disconnect_event(deployed, connection_id))["disconnectStatusCode"] == code


async def test_the_largest_message_passes_both_ways(gateway: str, deployed: Deployed) -> None:
    async with connected(gateway, deployed) as (websocket, _):
        await websocket.send(["x" * 32 * 1024] * 3)
        assert len(json.loads(await websocket.recv())["body"]) == 96 * 1024


async def test_a_client_that_vanishes_is_reported(gateway: str, deployed: Deployed) -> None:
    async with connected(gateway, deployed) as (websocket, connection_id):
        websocket.transport.abort()
    reported = await disconnect_event(deployed, connection_id)
    assert (reported["disconnectStatusCode"], reported["disconnectReason"]) == (1006, "Connection Closed Abnormally")


async def test_a_client_that_gives_up_during_connect_is_reported(gateway: str, deployed: Deployed) -> None:
    seen = len(deployed.events())
    opening = asyncio.create_task(connect(gateway.replace("http", "ws", 1) + "/?sleep_s=0.5").__aenter__())
    event = await until(lambda: next(iter(deployed.events()[seen:]), None))
    opening.cancel()
    assert event
    reported = await disconnect_event(deployed, event["requestContext"]["connectionId"])
    assert reported["disconnectStatusCode"] == 1006


async def test_a_throttled_connect_is_a_429(gateway: str, deployed: Deployed) -> None:
    functions = client("lambda", deployed.endpoint_url)
    name = deployed.outputs["WebSocketFunction"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(gateway.replace("http", "ws", 1))
        assert refused.value.response.status_code == 429
    finally:
        functions.delete_function_concurrency(FunctionName=name)


async def test_a_close_without_a_status_is_1005(gateway: str, deployed: Deployed) -> None:
    async with connected(gateway, deployed) as (websocket, connection_id):
        websocket.transport.write(b"\x88\x80\x00\x00\x00\x00")
        await close_code(websocket)
    assert (await disconnect_event(deployed, connection_id))["disconnectStatusCode"] == 1005


async def test_idle_connections_and_old_ones_are_closed(start_gateway: StartGateway, deployed: Deployed) -> None:
    with start_gateway(websocket_idle_s=1.5, websocket_lifetime_s=4.0) as (_, url):
        async with connected(url, deployed) as (idle, idle_id), connected(url, deployed) as (busy, _):
            started_s = time.monotonic()
            code = asyncio.create_task(close_code(idle))
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    await busy.send("{}")
                    await busy.recv()
            assert closed.value.rcvd and closed.value.rcvd.code == 1001
            assert time.monotonic() - started_s > 3, "it was closed though it was neither idle nor old"
            assert await code == 1001
        reported = await disconnect_event(deployed, idle_id)
        assert (reported["disconnectStatusCode"], reported["disconnectReason"]) == (1001, "Going away")


async def test_new_connections_are_throttled(start_gateway: StartGateway) -> None:
    with start_gateway(websocket_connect_rate=0.001, websocket_connect_burst=1) as (_, url):
        async with connect(url.replace("http", "ws", 1)):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await connect(url.replace("http", "ws", 1))
            assert refused.value.response.status_code == 429


async def test_messages_over_the_rate_are_refused(start_gateway: StartGateway, deployed: Deployed) -> None:
    with start_gateway(request_rate=0.001, request_burst=25) as (_, url):
        async with connected(url, deployed) as (websocket, _):
            answers: list[dict[str, Any]] = []
            while not any(answer.get("message") == "Too Many Requests" for answer in answers):
                assert len(answers) < 30
                await websocket.send("{}")
                answers.append(json.loads(await websocket.recv()))


async def test_stopping_closes_connections_with_1001_and_reports_them(
    start_gateway: StartGateway, deployed: Deployed
) -> None:
    with start_gateway() as (process, url):
        async with connected(url, deployed) as (websocket, connection_id):
            process.send_signal(signal.SIGTERM)
            assert await close_code(websocket) == 1001
        assert await asyncio.to_thread(process.wait, 10) == 0
    assert (await disconnect_event(deployed, connection_id))["disconnectStatusCode"] == 1001


async def test_a_client_that_does_not_read_blocks_only_itself(
    start_gateway: StartGateway, deployed: Deployed, http: aiohttp.ClientSession
) -> None:
    with start_gateway(websocket_write_buffer_bytes=256 * 1024) as (_, url):
        async with connected(url, deployed) as (slow, slow_id), connected(url, deployed) as (quick, quick_id):
            slow.transport.pause_reading()
            prefix = f"{url}/@connections"
            statuses: list[int] = []
            kind: str | None = None
            while 429 not in statuses:
                assert len(statuses) < 500, "the buffer of the slow client is not bounded"
                async with http.post(f"{prefix}/{slow_id}", data=b"x" * 100_000, headers=SIGNED) as response:
                    statuses.append(response.status)
                    kind = response.headers.get("x-amzn-ErrorType")
            assert kind == "LimitExceededException"
            async with http.post(f"{prefix}/{quick_id}", data=b"quick", headers=SIGNED) as response:
                assert response.status == 200
            assert await asyncio.wait_for(quick.recv(), 2) == "quick"
            slow.transport.resume_reading()
            received = [await asyncio.wait_for(slow.recv(), 5) for status in statuses if status == 200]
            assert {len(message) for message in received} == {100_000}
