"""The WebSocket opening handshake (RFC 6455, section 4.2) on top of an aiohttp request."""

import asyncio
import base64
import binascii
from collections.abc import Mapping

from aiohttp import web
from websockets.utils import accept_key

_KEY_BYTES = 16


def handshake_problem(headers: Mapping[str, str], method: str) -> str | None:
    """Say what is wrong with an upgrade request, or None; `headers` looks names up without regard to case."""
    if method != "GET":
        return "an upgrade must be a GET"
    if "upgrade" not in headers.get("Connection", "").lower() or headers.get("Upgrade", "").lower() != "websocket":
        return "not a WebSocket upgrade"
    if headers.get("Sec-WebSocket-Version") != "13":
        return "Sec-WebSocket-Version must be 13"
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    return None if len(key) == _KEY_BYTES else "Sec-WebSocket-Key must be 16 bytes in base64"


def accept_upgrade(request: web.BaseRequest, transport: asyncio.Transport, headers: Mapping[str, str]) -> None:
    """Write the 101. `headers` are added to it, such as the chosen subprotocol."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(request.headers['Sec-WebSocket-Key'])}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


class UpgradedResponse(web.StreamResponse):
    """What a handler returns when the connection has long been a WebSocket: there is nothing more to write."""

    async def prepare(self, request: web.BaseRequest) -> None:
        request.protocol.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the session has closed the connection."""
