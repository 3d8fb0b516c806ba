"""A model's provider that fails, and says too much of it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

WORDS = "what Ada said to the agent"
REQUEST_ID = "req-of-the-provider"


@dataclass
class Provider:
    """Answers every request in the same way; its error has what no log and no stranger may see, by one mark."""

    status: int = 500
    code: str | None = None
    said: str = ""
    body: bytes | None = None
    mark: str = field(default_factory=lambda: f"a1{uuid4().hex[:10]}")

    @property
    def text(self) -> str:
        """Keys, addresses, paths and a trace, all of which have the mark."""
        mark = self.mark
        return (
            f"{self.said}{WORDS}. Incorrect API key provided: sk-proj-{mark}."
            f" Authorization: Bearer abc{mark}9. key=ab****{mark}."
            f" See https://ada:pass{mark}@inside.example.com/v1?token={mark}, /home/operator/{mark}/main.py."
            f" {mark}{mark}\nTraceback (most recent call last):\n  File /srv/{mark}.py\nValueError: {mark}"
        )

    def answer(self) -> bytes:
        body = self.body
        if body is None:
            error = {"message": self.text, "type": "invalid_request_error", "param": None, "code": self.code}
            body = json.dumps({"error": error}).encode()
        kind = "text/event-stream" if self.status == 200 else "application/json"
        head = (
            f"HTTP/1.1 {self.status} Said\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {REQUEST_ID}\r\n\r\n"
        )
        return head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length.partition(b":")[2]))
                writer.write(self.answer())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed its connection
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[dict[str, str]]:
        """Serves; what litellm has to find in its environment."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            yield {"OPENAI_API_BASE": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": f"sk-own-{self.mark}"}
