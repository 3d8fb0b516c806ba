"""Who once could read, or never could, crossed with what a thread's log may be like: every route, every command, and
the connection that was open before.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from clients.terminal.stack import Stack
from functions.api.command_types import COMMANDS
from shared.stream.redis_client import Client
from tests.e2e.conftest import RunningStack
from tests.e2e.following import ALL_CHANNELS, command, eventually, next_frame, nothing_came_early, text_of
from tests.e2e.threads import cancelled, ended_run, start_run
from tests.security.counting import READERS, STATES
from tests.security.credentials import Secrets
from tests.security.routes import COMMAND_PARAMS, Property, Route, property_of, routes
from tests.security.surface import NOT_BUILT, Json
from tests.thread_logs import events_key

# Whoever asks with them is nobody; the others are somebody else.
NOBODY = frozenset({"revoked", "expired"})
ROUTES = routes()
QUIET_S = 0.4
# What Redis keeps of a log that was written to a day ago, and is all there.
LEFT_MS = 10 * 60 * 1000

type Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Case:
    """A thread of ``owned``; ``headers`` of who may not read it, ``heard`` by its connection from before."""

    reader: str
    state: str
    owned: Property
    headers: dict[str, str]
    heard: str

    @property
    def is_nobody(self) -> bool:
        """Whether the credential is good for nothing."""
        return self.reader in NOBODY

    @property
    def moment(self) -> str:
        """As it counts."""
        return f"{self.reader}, {self.state}"


@dataclass
class Setting:
    """A case while it is made."""

    stack: RunningStack
    http: httpx.AsyncClient
    secrets: Secrets
    thread_id: str
    account_id: str
    left: AsyncExitStack

    def signed(self, account_id: str, **claims: Any) -> dict[str, str]:
        """A credential of the account."""
        token = self.stack.token(account_id, jti=str(uuid.uuid4()), **claims)
        self.secrets.add(token)
        return {"authorization": f"Bearer {token}"}

    async def watched(self, headers: dict[str, str]) -> ClientConnection:
        """A connection that is subscribed to the thread from its beginning."""
        url = Stack(base_url=self.stack.base_url, token="").websocket_url(self.thread_id)
        socket = await self.left.enter_async_context(connect(url, additional_headers=headers))
        answer = await command(socket, "subscription.subscribe", {"channels": ALL_CHANNELS, "since": 0})
        assert answer["type"] == "success", answer
        return socket

    async def owned(self) -> Property:
        """The thread, with something of each kind; it is made as soon as its id is free."""
        headers = self.signed(self.account_id)

        async def make() -> int:
            return (await self.http.post("/threads", json={"thread_id": self.thread_id}, headers=headers)).status_code

        await eventually(make, lambda status: status == 200)
        said = f"private {self.thread_id}"
        return await property_of(self.stack, self.secrets, self.account_id, thread_id=self.thread_id, said=said)

    async def says(self, headers: dict[str, str], text: str) -> Json:
        """The account has something said on the thread."""
        async with httpx.AsyncClient(base_url=self.stack.base_url, headers=headers, timeout=60) as http:
            run = await start_run(http, self.thread_id, text)
            if "endless" in text:
                self.left.push_async_callback(self._end, run, headers)
            else:
                await ended_run(http, run)
        return run

    async def _end(self, run: Json, headers: dict[str, str]) -> None:
        async with httpx.AsyncClient(base_url=self.stack.base_url, headers=headers, timeout=60) as http:
            await cancelled(http, run, wait=1)

    async def reader(self, kind: str) -> tuple[Property, dict[str, str], ClientConnection]:
        """The thread of its owner, and who could read it until now: a credential, and a connection from before."""
        mine = self.signed(str(uuid.uuid4()))
        if kind in {"former owner", "deleted account"}:
            await self.http.post("/threads", json={"thread_id": self.thread_id}, headers=mine)
            await self.says(mine, "[[say mine]]")
            socket = await self.watched(mine)
            gone = "/account" if kind == "deleted account" else f"/threads/{self.thread_id}"
            assert (await self.http.delete(gone, headers=mine)).is_success
            return await self.owned(), mine, socket
        owned = await self.owned()
        path = f"/threads/{self.thread_id}"
        match kind:
            case "made private":
                await self.http.patch(path, json={"is_public": True}, headers=owned.headers)
                assert (await self.http.get(path, headers=mine)).status_code == 200
                socket = await self.watched(mine)
                await self.http.patch(path, json={"is_public": False}, headers=owned.headers)
            case "revoked":
                key = (await self.http.post("/api-keys", json={"name": "lent"}, headers=owned.headers)).json()
                self.secrets.add(key["secret"])
                mine = {"x-api-key": key["secret"]}
                socket = await self.watched(mine)
                assert (await self.http.delete(f"/api-keys/{key['key_id']}", headers=owned.headers)).is_success
            case "expired":
                mine = self.signed(self.account_id, exp=int(time.time()) + 3)
                socket = await self.watched(mine)
            case _:
                socket = await self.watched(mine)
        if kind in NOBODY:
            await eventually(partial(self._status, path, mine), lambda status: status == 401)
        return owned, mine, socket

    async def _status(self, path: str, headers: dict[str, str]) -> int:
        return (await self.http.get(path, headers=headers)).status_code

    async def in_state(self, owned: Property, state: str) -> Property:
        """The thread's log is as ``state`` says, and something was said since its reader could read."""
        match state:
            case "made again":
                await self.http.delete(f"/threads/{self.thread_id}", headers=owned.headers)
                return await self.owned()
            case "live":
                await self.says(owned.headers, f"[[say private {self.thread_id}]] [[endless rate 5]]")
            case _:
                await self.says(owned.headers, f"[[say private {self.thread_id}]]")
                async with self.log() as (redis, key):
                    assert await redis.pttl(key) > LEFT_MS
                    assert await redis.pexpire(key, LEFT_MS)
        return owned

    @asynccontextmanager
    async def log(self) -> AsyncGenerator[tuple[Client, str]]:
        """Where the thread's events are kept: a client of it, and the key."""
        redis = Client(self.stack.fields["redis_url"])
        try:
            yield redis, await events_key(self.stack.fields["database_url"], self.thread_id)
        finally:
            await redis.aclose()

    async def is_logged(self) -> bool:
        """Whether there is something to be read."""
        async with self.log() as (redis, key):
            return await redis.xlen(key) > 0


async def _rest(socket: ClientConnection) -> str:
    """What comes until nothing comes any more, or until it is closed."""
    heard: list[str] = []
    with suppress(TimeoutError, ConnectionClosed):
        while True:
            async with asyncio.timeout(QUIET_S):
                heard.append(str(await socket.recv()))
    return "".join(heard)


@pytest.fixture(scope="session", params=[*product(READERS, STATES)], ids=", ".join)
async def case(
    stack: RunningStack, http: httpx.AsyncClient, secrets: Secrets, request: pytest.FixtureRequest
) -> AsyncGenerator[Case]:
    """Each in turn; a live run goes on until its tests are done."""
    reader, state = request.param
    async with AsyncExitStack() as left:
        setting = Setting(stack, http, secrets, str(uuid.uuid4()), str(uuid.uuid4()), left)
        owned, headers, socket = await setting.reader(reader)
        await _rest(socket)
        owned = await setting.in_state(owned, state)
        assert await setting.is_logged()
        yield Case(reader, state, owned, headers, await _rest(socket))
        # All along there was something that could have been read.
        assert await setting.is_logged()


async def test_its_owner_reads_the_log(stack: RunningStack, case: Case) -> None:
    """Else it would show nothing that the others do not. Deltas are in the log only: no snapshot has them."""
    thread_id = case.owned.values["thread_id"]
    url = Stack(base_url=stack.base_url, token="").websocket_url(thread_id)
    async with connect(url, additional_headers=case.owned.headers) as socket:
        answer = await command(socket, "subscription.subscribe", {"channels": ["messages"], "since": 0})
        assert answer["type"] == "success", answer
        frames: list[Json] = []
        while f"private {thread_id}" not in text_of(frames):
            frames.append(frame := await next_frame(socket))
            assert frame["params"]["data"].get("name") != "gap"


def test_who_was_watching_hears_nothing_more(case: Case) -> None:
    assert "private" not in case.heard


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_no_route_tells_who_may_not_read(
    http: httpx.AsyncClient, case: Case, record_property: Record, route: Route
) -> None:
    record_property(route.kind, (str(route), case.moment))
    values = case.owned.values
    answer = await http.request(**route.request(values), headers=case.headers)
    if case.is_nobody:
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), answer.text
    elif route.path.endswith("/commands"):
        assert answer.json()["type"] == "error", answer.text
    else:
        assert (answer.status_code == NOT_BUILT) != route.is_built, answer.text
        assert answer.status_code == 404 or not (route.is_built and route.names), answer.text
    # It is told of nothing but what it has named itself.
    assert "private" not in answer.text
    known = {case.owned.account_id, *values.values()} - {"x", *route.named(values)}
    assert not [value for value in known if value in answer.text]


@pytest.mark.parametrize("method", sorted(COMMANDS))
async def test_no_command_tells_who_may_not_read(
    stack: RunningStack, case: Case, record_property: Record, method: str
) -> None:
    record_property("commands", (method, case.moment))
    url = Stack(base_url=stack.base_url, token="").websocket_url(case.owned.values["thread_id"])
    try:
        async with connect(url, additional_headers=case.headers) as socket:
            answer = await command(socket, method, case.owned.params(COMMAND_PARAMS[method]))
            assert "private" not in json.dumps(answer)
            assert (await command(socket, "ping"))["type"] == "success"
            assert nothing_came_early(socket)
            assert await _rest(socket) == ""
    except InvalidStatus as refused:
        assert refused.response.status_code == (401 if case.is_nobody else 404)
    else:
        assert not case.is_nobody
