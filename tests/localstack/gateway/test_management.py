"""`@connections`, with boto3 unmodified and with plain HTTP."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import aiohttp
import pytest

from tests.localstack.gateway.conftest import SIGNED, Deployed, client, until
from tests.localstack.gateway.test_websocket_api import close_code, connected, disconnect_event

NOBODY = "AAAAAAAAAAAAAAA="


async def test_boto3_posts_describes_and_deletes(gateway: str, deployed: Deployed) -> None:
    endpoint_url = f"{gateway}/@ws/{deployed.outputs['WebSocketId']}/{deployed.outputs['StageName']}"
    management = client("apigatewaymanagementapi", endpoint_url)
    async with connected(gateway, deployed, user_agent_header="agent") as (websocket, connection_id):
        await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data="grüße")
        assert await websocket.recv() == "grüße"
        found = await asyncio.to_thread(management.get_connection, ConnectionId=connection_id)
        assert found["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "agent"}
        assert timedelta(0) <= datetime.now(UTC) - found["ConnectedAt"] < timedelta(minutes=1)
        assert found["LastActiveAt"] >= found["ConnectedAt"]
        await asyncio.to_thread(management.delete_connection, ConnectionId=connection_id)
        assert await close_code(websocket) == 1000
        await disconnect_event(deployed, connection_id)
        with pytest.raises(management.exceptions.GoneException):
            await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data=b"late")
    with pytest.raises(management.exceptions.PayloadTooLargeException):
        async with connected(gateway, deployed) as (_, connection_id):
            await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data=b"x" * 131_073)


async def test_the_plain_localstack_endpoint_reaches_connections(deployed: Deployed) -> None:
    management = client("apigatewaymanagementapi", deployed.endpoint_url)
    async with connected(deployed.in_process_url, deployed) as (websocket, connection_id):
        await asyncio.to_thread(management.post_to_connection, ConnectionId=connection_id, Data=b"hello")
        assert await websocket.recv() == "hello"
        found = await asyncio.to_thread(management.get_connection, ConnectionId=connection_id)
        assert found["Identity"]["SourceIp"] == "127.0.0.1"
    await disconnect_event(deployed, connection_id)
    with pytest.raises(management.exceptions.GoneException):
        await asyncio.to_thread(management.delete_connection, ConnectionId=connection_id)


@pytest.mark.parametrize(
    ("method", "connection_id", "headers", "refusal"),
    [
        ("POST", NOBODY, SIGNED, (410, "GoneException")),
        ("GET", NOBODY, SIGNED, (410, "GoneException")),
        ("DELETE", NOBODY, SIGNED, (410, "GoneException")),
        ("POST", NOBODY, {}, (403, "ForbiddenException")),
        ("PUT", NOBODY, SIGNED, (403, "ForbiddenException")),
        ("POST", "not-an-id", SIGNED, (400, "BadRequestException")),
    ],
)
async def test_refusals(  # noqa: PLR0917 - the cases are the arguments
    gateway: str,
    http: aiohttp.ClientSession,
    method: str,
    connection_id: str,
    headers: dict[str, str],
    refusal: tuple[int, str],
) -> None:
    url = f"{gateway}/@connections/{quote(connection_id, safe='')}"
    async with http.request(method, url, headers=headers) as response:
        assert (response.status, response.headers["x-amzn-ErrorType"]) == refusal


async def test_a_connection_belongs_to_its_api_and_stage(
    gateway: str, deployed: Deployed, http: aiohttp.ClientSession
) -> None:
    async with connected(gateway, deployed) as (_, connection_id):
        for prefix in ("/@ws/other/test", f"/@ws/{deployed.outputs['WebSocketId']}/other"):
            url = f"{gateway}{prefix}/@connections/{connection_id}"
            async with http.post(url, headers=SIGNED, data=b"x") as response:
                assert response.status == 410


async def test_posts_arrive_in_the_order_they_were_accepted(
    gateway: str, deployed: Deployed, http: aiohttp.ClientSession
) -> None:
    async with connected(gateway, deployed) as (websocket, connection_id):
        for number in range(300):
            url = f"{gateway}/@connections/{connection_id}"
            async with http.post(url, headers=SIGNED, data=str(number)) as response:
                assert response.status == 200
        assert [await websocket.recv() for _ in range(300)] == [str(number) for number in range(300)]


async def test_a_long_message_is_split_into_frames_the_client_may_join(
    gateway: str, deployed: Deployed, http: aiohttp.ClientSession
) -> None:
    async with connected(gateway, deployed) as (websocket, connection_id):
        message = "ä" * 65_536
        url = f"{gateway}/@connections/{connection_id}"
        async with http.post(url, headers=SIGNED, data=message.encode()) as response:
            assert response.status == 200
        fragments = [fragment async for fragment in websocket.recv_streaming(decode=False)]
        assert [len(fragment) for fragment in fragments] == [32 * 1024] * 4
        assert b"".join(fragments).decode() == message
        async with http.post(url, headers=SIGNED, data=b"\xff\xfe") as response:
            assert response.status == 400


async def test_a_post_from_inside_connect_gets_410(deployed: Deployed) -> None:
    async with connected(deployed.in_process_url, deployed, "/?post=1"):
        posted = await until(lambda: [event["post"] for event in deployed.events() if "post" in event])
        assert json.dumps(posted) == "[410]"
