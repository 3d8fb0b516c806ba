"""First requests, so that the user's first one finds warm functions."""

import asyncio
import uuid
from collections.abc import Mapping

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from suna_localstack.up.aws_client import client
from suna_localstack.up.errors import StackError

_TIMEOUT_S = 60


async def _http(session: aiohttp.ClientSession, base_url: str, token: str) -> str | None:
    headers = {"Authorization": f"Bearer {token}"}
    async with session.get(f"{base_url}/ok", headers=headers) as response:
        await response.read()
        return None if response.status < 500 else f"GET {base_url}/ok answers {response.status}"


async def _websocket(session: aiohttp.ClientSession, base_url: str, token: str) -> str | None:
    url = f"{base_url}/threads/{uuid.uuid4()}/stream/events"
    try:
        async with session.ws_connect(url, headers={"Authorization": f"Bearer {token}"}):
            return None
    except aiohttp.WSServerHandshakeError as error:
        return None if error.status < 500 else f"the WebSocket {url} answers {error.status}"


def _invoke(endpoint_url: str, function: str) -> str | None:
    """An empty SQS batch: the runner's handler does nothing, but has been imported."""
    try:
        answer = client("lambda", endpoint_url).invoke(FunctionName=function, Payload=b'{"Records": []}')
    except (BotoCoreError, ClientError) as error:
        return f"the function {function} cannot be invoked: {error}"
    if "FunctionError" in answer:
        return f"the function {function} fails: {answer['Payload'].read().decode(errors='replace')[:300]}"
    return None


async def warm_up(*, base_url: str, endpoint_url: str, token: str, outputs: Mapping[str, str]) -> None:
    """Call each function a first request needs.

    Raises:
        StackError: one of them does not work: the stack is deployed but broken.
    """
    runner = next((value for name, value in outputs.items() if name.lower() == "queuerunnerfunctionname"), None)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        calls = [_http(session, base_url, token), _websocket(session, base_url, token)]
        if runner:
            calls.append(asyncio.to_thread(_invoke, endpoint_url, runner))
        try:
            problems = await asyncio.gather(*calls)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StackError(f"the first request failed: {error or type(error).__name__}") from error
    for problem in problems:
        if problem:
            raise StackError(problem)
