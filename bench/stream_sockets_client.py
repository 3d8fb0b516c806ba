"""Many open WebSockets in a process of their own: ``python -m bench.stream_sockets_client``.

Standard input: a line with the ``Order``; standard output: a line with what each connection was answered first. Then it
keeps them open. After the next line of input it asks each connection for a last answer, and says what became of them.
"""

import asyncio
import contextlib
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

OPENING_S = 30.0
ANSWER_S = 120.0
TRIES = 5


@dataclass(frozen=True)
class Order:
    """``source``: the address to connect from; ``first``, ``last``: what each connection says then, to be answered."""

    urls: list[str]
    headers: dict[str, str]
    source: str
    first: str
    last: str
    at_once: int


@dataclass
class Told:
    """``alive``: connections that answered the last question; ``lags_ms``: of frames that name their ``sent_at``."""

    alive: int
    lags_ms: list[float]


class Client:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answered = asyncio.Event()
        self.lags_ms: list[float] = []

    async def read(self) -> None:
        """Until it is closed."""
        with contextlib.suppress(ConnectionClosed):
            async for raw in self._socket:
                said = json.loads(raw)
                if "sent_at" in said:
                    self.lags_ms.append((time.time() - said["sent_at"]) * 1000)
                else:
                    self._answered.set()

    async def lives(self, question: str) -> bool:
        """Whether ``question`` is answered."""
        self._answered.clear()
        try:
            await self._socket.send(question)
            await asyncio.wait_for(self._answered.wait(), ANSWER_S)
        except (ConnectionClosed, TimeoutError):
            return False
        return True


async def open_one(order: Order, url: str) -> tuple[str, ClientConnection]:
    """A connection, and what it was answered first.

    Raises:
        InvalidStatus: it was refused each time.
    """
    for tried in range(1, TRIES + 1):
        try:
            # No compression and no pings of its own: the measurement is of the server, and shares its processors.
            socket = await connect(
                url,
                additional_headers=order.headers,
                local_addr=(order.source, 0),
                compression=None,
                ping_interval=None,
                open_timeout=OPENING_S,
            )
        except (InvalidStatus, TimeoutError):
            if tried == TRIES:
                raise
        else:
            await socket.send(order.first)
            return str(await socket.recv()), socket
    raise AssertionError


async def main() -> None:
    """Open, keep, ask, tell."""
    loop = asyncio.get_running_loop()
    order = Order(**json.loads(await loop.run_in_executor(None, sys.stdin.readline)))
    slots = asyncio.Semaphore(order.at_once)

    async def opened(url: str) -> tuple[str, ClientConnection]:
        async with slots:
            return await open_one(order, url)

    every = await asyncio.gather(*(opened(url) for url in order.urls))
    clients = [Client(socket) for _, socket in every]
    reading = [asyncio.create_task(client.read()) for client in clients]
    print(json.dumps([answer for answer, _ in every]), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)

    async def lives(client: Client) -> bool:
        async with slots:
            return await client.lives(order.last)

    alive = sum(await asyncio.gather(*(lives(client) for client in clients)))
    print(json.dumps(asdict(Told(alive, [lag for client in clients for lag in client.lags_ms]))), flush=True)
    for task in reading:
        task.cancel()
    # The server has closed none of them: the process's end closes them all.


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
