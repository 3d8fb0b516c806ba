"""A small HTTP server whose answers are whatever bytes a test wants, well-formed or not."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

type Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class HttpServer:
    """Answers paths by ``routes``: bytes that are sent as they are, or a function that writes them.

    ``requests`` are the heads it was sent.
    """

    host: str
    port: int
    routes: dict[str, bytes | Handler] = field(default_factory=dict[str, bytes | Handler])
    requests: list[str] = field(default_factory=list[str])
    open_connections: int = 0

    def url(self, path: str = "/", *, host: str | None = None) -> str:
        return f"http://{host or self.host}:{self.port}{path}"

    @property
    def place(self) -> tuple[str, int]:
        return self.host, self.port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            route = self.routes.get(head.split(" ")[1], answer(b"", status="404 Not Found"))
            if isinstance(route, bytes):
                writer.write(route)
            else:
                await route(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self.open_connections -= 1
            writer.close()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A response that ends with its connection."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str, *, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {location}", status=status)


@asynccontextmanager
async def http_server(host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpServer]:
    """A server on a free port."""
    served = HttpServer(host, 0)
    server = await asyncio.start_server(served.serve, host, 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        server.close_clients()
        await server.wait_closed()
