"""What posts to ``@connections`` reach: an HTTP server that answers as API Gateway does, and keeps what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Gateway:
    """``sent``: the frames by connection, as they arrived; ``answers``: statuses in place of the next 200s;
    ``closing``: in place of the next 204s.

    ``deaf``: connections that take nothing, until they are named here no more and ``hears`` is set.
    ``gone``: connections that answer 410; ``closed``: those that were ended from here; a post waits while ``open`` is
    not set, which it no longer is once a connection has got ``closes_at`` frames.
    """

    url: str = ""
    sent: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    answers: list[int] = field(default_factory=list[int])
    closing: list[int] = field(default_factory=list[int])
    deaf: set[str] = field(default_factory=set[str])
    gone: set[str] = field(default_factory=set[str])
    closed: list[str] = field(default_factory=list[str])
    open: asyncio.Event = field(default_factory=asyncio.Event)
    hears: asyncio.Event = field(default_factory=asyncio.Event)
    closes_at: int | None = None
    posting: dict[str, int] = field(default_factory=dict[str, int])
    most_at_once: int = 0

    def seqs(self, connection_id: str) -> list[int | None]:
        """The numbers that a connection got."""
        return [frame.get("seq") for frame in self.sent.get(connection_id, [])]

    async def answer(self, request: web.Request) -> web.Response:
        """One post."""
        connection_id = request.match_info["connection_id"]
        self.posting[connection_id] = self.posting.get(connection_id, 0) + 1
        self.most_at_once = max(self.most_at_once, self.posting[connection_id])
        try:
            body = await request.text()
            await self.open.wait()
            while connection_id in self.deaf:
                await self.hears.wait()
            if connection_id in self.gone:
                return web.Response(status=410)
            if self.answers and (status := self.answers.pop(0)) != 200:
                return web.Response(status=status)
            sent = self.sent.setdefault(connection_id, [])
            sent.append(json.loads(body))
            if len(sent) == self.closes_at:
                self.open.clear()
            return web.Response()
        finally:
            self.posting[connection_id] -= 1

    async def close(self, request: web.Request) -> web.Response:
        """The end of one connection."""
        connection_id = request.match_info["connection_id"]
        if connection_id in self.gone:
            return web.Response(status=410)
        if self.closing:
            return web.Response(status=self.closing.pop(0))
        self.gone.add(connection_id)
        self.closed.append(connection_id)
        return web.Response(status=204)


@asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    """A running one, on a free port."""
    found = Gateway()
    found.open.set()
    application = web.Application()
    application.router.add_post("/@connections/{connection_id}", found.answer)
    application.router.add_delete("/@connections/{connection_id}", found.close)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        found.open.set()
        await runner.cleanup()
