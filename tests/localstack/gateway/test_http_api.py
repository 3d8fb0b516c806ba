"""HTTP APIs through a gateway, with functions that really run; once in LocalStack's process, once standalone."""

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.localstack.gateway.conftest import Deployed, StartGateway

type Http = aiohttp.ClientSession


async def get(http: Http, url: str, **arguments: Any) -> tuple[int, Any]:
    async with http.request(arguments.pop("method", "GET"), url, **arguments) as response:
        is_json = response.headers.get("content-type") == "application/json"
        return response.status, await response.json() if is_json else await response.text()


async def test_the_function_gets_the_request_and_answers_it(gateway: str, http: Http, deployed: Deployed) -> None:
    headers = {"X-Two": "1", "Cookie": "a=1; b=2", "Content-Type": "application/json"}
    status, event = await get(
        http, f"{gateway}/a%20b/echo?x=1&x=2&y=%20", method="PUT", data=b'{"n": 1}', headers=headers
    )
    assert status == 200
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a b/echo")
    assert event["rawQueryString"] == "x=1&x=2&y=%20"
    assert event["queryStringParameters"] == {"x": "1,2", "y": " "}
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]
    assert event["headers"]["x-two"] == "1"
    assert (event["body"], event["isBase64Encoded"]) == ('{"n": 1}', False)
    assert event["stageVariables"] == {"name": "one"}
    context = event["requestContext"]
    assert context["apiId"] == deployed.outputs["HttpId"]
    assert context["http"]["method"] == "PUT"
    assert context["stage"] == "$default"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/items/7", 200, 'GET /items/{id} {"id": "7"}'),
        ("/items/7/8", 200, 'ANY /items/{proxy+} {"proxy": "7/8"}'),
        ("/elsewhere", 200, "$default null"),
        ("/throttled/items/7", 200, 'GET /items/{id} {"id": "7"}'),
        ("/inferred", 200, {"answer": 42}),
        ("/malformed", 500, {"message": "Internal Server Error"}),
        ("/crash", 500, {"message": "Internal Server Error"}),
        ("/exit", 500, {"message": "Internal Server Error"}),
        ("/late/slow?s=2", 503, {"message": "Service Unavailable"}),
        ("/@http/unknown/text", 404, {"message": "Not Found"}),
    ],
)
async def test_answers(gateway: str, http: Http, path: str, status: int, body: object) -> None:
    assert await get(http, gateway + path) == (status, body)


async def test_a_full_answer_arrives_as_it_is(gateway: str, http: Http) -> None:
    async with http.get(f"{gateway}/created") as response:
        assert response.status == 201
        assert response.headers.getall("Set-Cookie") == ["a=1", "b=2; HttpOnly"]
        assert response.headers["X-Number"] == "7"
    async with http.get(f"{gateway}/binary") as response:
        assert await response.read() == bytes(range(256))


async def test_an_api_can_be_named_in_the_path(gateway: str, http: Http, deployed: Deployed) -> None:
    prefix = f"{gateway}/@http/{deployed.outputs['HttpId']}"
    assert await get(http, f"{prefix}/items/7") == (200, 'GET /items/{id} {"id": "7"}')
    status, _ = await get(http, f"{gateway}/@http/{deployed.outputs['WebSocketId']}/items/7")
    assert status == 404


async def test_the_authorizer_decides_and_its_context_reaches_the_function(gateway: str, http: Http) -> None:
    url = f"{gateway}/secret/echo"
    assert await get(http, url) == (401, {"message": "Unauthorized"})
    assert await get(http, url, headers={"Authorization": "wrong"}) == (403, {"message": "Forbidden"})
    assert await get(http, url, headers={"Authorization": "crash"}) == (500, {"message": "Internal Server Error"})
    status, event = await get(http, url, headers={"Authorization": "secret"})
    assert (status, event["requestContext"]["authorizer"]) == (200, {"lambda": {"user": "ada"}})


async def test_the_gateway_answers_cors(gateway: str, http: Http) -> None:
    origin = {"Origin": "https://app.example"}
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    async with http.options(f"{gateway}/crash", headers=preflight) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert response.headers["Access-Control-Allow-Methods"] == "GET,POST"
        assert response.headers["Access-Control-Allow-Headers"] == "authorization"
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        assert response.headers["Access-Control-Max-Age"] == "60"
    async with http.options(f"{gateway}/echo", headers={**preflight, "Origin": "https://evil.example"}) as response:
        assert response.status == 204
        assert "Access-Control-Allow-Origin" not in response.headers
    async with http.get(f"{gateway}/echo", headers=origin) as response:
        assert response.headers.getall("Access-Control-Allow-Origin") == ["https://app.example"]
        assert response.headers["Access-Control-Expose-Headers"] == "x-number"
    async with http.get(f"{gateway}/echo") as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_concurrency_that_is_used_up_is_a_503(gateway: str, http: Http) -> None:
    answers = await asyncio.gather(*(get(http, f"{gateway}/limited/slow?s=0.5") for _ in range(4)))
    assert {status for status, _ in answers} == {200, 503}


async def test_slow_functions_do_not_hold_up_others(gateway: str, http: Http) -> None:
    await get(http, f"{gateway}/items/7")
    slow = [asyncio.create_task(get(http, f"{gateway}/slow?s=1.5")) for _ in range(6)]
    await asyncio.sleep(0.2)
    assert await get(http, f"{gateway}/@connections/x") == (403, {"message": "Missing Authentication Token"})
    assert not any(task.done() for task in slow)
    assert {status for status, _ in await asyncio.gather(*slow)} == {200}


async def test_quotas(start_gateway: StartGateway, http: Http) -> None:
    with start_gateway(request_body_bytes=1000, invocation_payload_bytes=500) as (_, url):
        too_large = (413, {"message": "Request Entity Too Large"})
        assert await get(http, f"{url}/echo", method="POST", data=b"x" * 1001) == too_large

        async def chunks():
            for _ in range(11):
                yield b"x" * 100

        assert await get(http, f"{url}/echo", method="POST", data=chunks()) == too_large
        assert await get(http, f"{url}/echo", method="POST", data=b"x" * 600) == (413, {"message": "Request Too Long"})
        status, _ = await get(http, f"{url}/echo", headers={"X-Long": "x" * 12_000})
        assert status == 431
        assert (await get(http, f"{url}/items/7"))[0] == 200


async def test_a_stages_throttle_answers_429(start_gateway: StartGateway, http: Http) -> None:
    with start_gateway() as (_, url):
        answers = [await get(http, f"{url}/throttled/items/1") for _ in range(3)]
        assert [status for status, _ in answers] == [200, 200, 429]
        assert answers[-1][1] == {"message": "Too Many Requests"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-H: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 8\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ],
    ids=["tls", "version", "long line", "huge header", "length", "chunk", "no connection", "no key", "old websocket"],
)
async def test_malformed_requests_are_refused_and_harm_nobody(gateway: str, http: Http, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(gateway).port or 0), timeout=5) as connection:
        connection.sendall(garbage)
        answer = await asyncio.to_thread(connection.recv, 4096)
    assert answer.startswith(b"HTTP/1.") and answer.split()[1] in (b"400", b"431")
    assert (await get(http, f"{gateway}/items/7"))[0] == 200
