"""What a backend may do with WebSocket connections: post to them, and close them.

The one hot AWS call: aiohttp posts about five times as many messages a second as aioboto3, for a fifth of the CPU.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from yarl import URL

from shared.aws.signature import Signer
from shared.settings import stream_settings
from shared.shares import Shares

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)
# Sockets of a process, of some 1,000 that it may have: a post to a client that takes nothing holds one for ten seconds.
# Of each account to whose own threads it posts (as many as it has runs), of each whose connections read other accounts'
# threads, and of all these together.
_OF_ACCOUNT = Shares(64)
_OF_READER = Shares(16)
_OF_READERS = Shares(128)


class GoneError(Exception):
    """The connection has ended."""


class UndeliverableError(Exception):
    """The gateway will never do this: the connection is none of its, or the frame is too large for it."""


class ThrottledError(Exception):
    """The connection or the account takes no more for now."""


@cache
def _signer() -> Signer:
    return Signer("execute-api")


@cache
def _http() -> aiohttp.ClientSession:
    # Shared out by ``socket``: to wait for one here would count as the gateway's time, and the client as deaf.
    return aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60))


@asynccontextmanager
async def socket(account_id: str, *, is_reader: bool) -> AsyncGenerator[None]:
    """Wait for one of the account's share of the sockets, and have it inside the block.

    ``is_reader``: for a connection to another account's thread.
    """
    if not is_reader:
        async with _OF_ACCOUNT.of(account_id):
            yield
    else:
        async with _OF_READER.of(account_id), _OF_READERS.of("all"):
            yield


async def post(connection_id: str, frame: str) -> None:
    """Send one frame to a connection; returns when the gateway has accepted it.

    Raises:
        GoneError: the connection has ended; forget it.
        UndeliverableError: there is no use in trying again.
        ThrottledError: back off and try again.
        aiohttp.ClientError: the gateway is out of reach, or failed.
    """
    await _request("POST", connection_id, frame.encode())


async def close(connection_id: str) -> None:
    """Have the gateway end a connection. Raises as :func:`post` does."""
    await _request("DELETE", connection_id, b"")


async def _request(method: str, connection_id: str, body: bytes) -> None:
    # Connection ids end in "=": once quoted in the URL, and SigV4 signs the path as it is sent.
    sent_to = f"{stream_settings().connections_url}/@connections/{quote(connection_id, safe='')}"
    url = URL(sent_to, encoded=True)
    async with _http().request(method, url, data=body, headers=_signer().headers(method, url, body)) as answer:
        match answer.status:
            case HTTPStatus.GONE:
                raise GoneError
            case HTTPStatus.BAD_REQUEST | HTTPStatus.FORBIDDEN | HTTPStatus.CONTENT_TOO_LARGE:
                raise UndeliverableError(f"the gateway answers {answer.status}")
            case HTTPStatus.TOO_MANY_REQUESTS:
                raise ThrottledError
            case _:
                answer.raise_for_status()
