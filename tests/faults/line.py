"""A line to PostgreSQL that can be cut for one process."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import psutil


class Line:
    """A line to PostgreSQL at a port of 127.0.0.1. What goes to and from a process that is cut off stays under way."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._flows: dict[int, asyncio.Event] = {}
        self._cut_off: set[int] = set()
        self.held_back = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._listening = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)
        self.port: int = self._listening.sockets[0].getsockname()[1]

    def close(self) -> None:
        """End it, with all that goes over it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut_off(self, pid: int) -> None:
        """Nothing of the process comes through any more, in either direction, and nobody is told."""
        self._loop.call_soon_threadsafe(self._cut, pid)

    def heal(self, pid: int) -> None:
        """All that was held back comes through, late."""
        self._loop.call_soon_threadsafe(self._heal, pid)

    async def _end(self) -> None:
        self._listening.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def _cut(self, pid: int) -> None:
        self._cut_off.add(pid)
        for port in _ports_of(pid) & self._flows.keys():
            self._flows[port].clear()

    def _heal(self, pid: int) -> None:
        self._cut_off.discard(pid)
        for port in _ports_of(pid) & self._flows.keys():
            self._flows[port].set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port: int = writer.get_extra_info("peername")[1]
        flows = self._flows[port] = asyncio.Event()
        if not any(port in _ports_of(pid) for pid in self._cut_off):
            flows.set()
        async with _closing(writer):
            onward, back = await asyncio.open_connection(self._server.hostname, self._server.port)
            async with _closing(back):
                await asyncio.gather(self._pass(reader, back, flows), self._pass(onward, writer, flows))
        self._flows.pop(port, None)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flows: asyncio.Event) -> None:
        while data := await source.read(65536):
            if not flows.is_set():
                self.held_back += 1
                await flows.wait()
            sink.write(data)
            await sink.drain()
        sink.close()


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncGenerator[None]:
    """Close it at the end, whichever side has ended it."""
    try:
        with suppress(OSError):
            yield
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _ports_of(pid: int) -> set[int]:
    try:
        return {found.laddr.port for found in psutil.Process(pid).net_connections("tcp") if found.laddr}
    except psutil.Error:
        return set()


def secret_with(port: int, secret: str) -> str:
    """The database's secret, at another port of 127.0.0.1."""
    fields: dict[str, Any] = json.loads(secret)
    return json.dumps(fields | {"host": "127.0.0.1", "port": port})
