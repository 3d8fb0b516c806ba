"""One thread, on `langgraph-sdk` as it is: say something, follow what comes of it, stop it, answer it."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import Any, Self, cast

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import APIError
from langgraph_sdk.stream.transport import EventStreamHandle, ProtocolWebSocketTransport
from websockets.exceptions import InvalidStatus, WebSocketException

from clients.terminal.stack import Stack

type Frame = dict[str, Any]

CHANNELS = ["lifecycle", "messages", "tools", "input", "custom"]
TERMINAL = frozenset({"completed", "failed", "interrupted"})
UNFINISHED = frozenset({"pending", "running"})

_DEFAULT_ASSISTANT = "agent"

# What a connection that ended is followed by: soon at first, then less and less often.
_LONGEST_PAUSE_S = 5.0
_PATIENCE = 20
_LONGEST_TITLE = 80
_HTTP_RETRY = 429
_HTTP_FAULT = 500


class RefusedError(Exception):
    """The service has refused a request; the message is its own."""


class Conversation:
    """A thread, seen from a client. Use as an async context manager."""

    def __init__(self, stack: Stack, thread_id: str | None = None, *, assistant: str | None = None) -> None:
        """``thread_id``: an existing thread to go on with; without it a new one begins.

        ``assistant``: who answers messages; without it who answered last in the thread, or the one that all have.
        """
        self._stack = stack
        self._existing = thread_id
        self._assistant = assistant
        self._is_untitled = thread_id is None
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Have the thread, and a connection to it.

        Raises:
            RefusedError: there is no such thread, or the token is not good.
        """
        self._sdk: LangGraphClient = await self._exit.enter_async_context(
            get_client(url=self._stack.base_url, api_key=None, headers=self._stack.headers)
        )
        with _refusals():
            known = self._existing
            thread = await (self._sdk.threads.get(known) if known else self._sdk.threads.create())
        self.thread_id: str = thread["thread_id"]
        transport = ProtocolWebSocketTransport(
            client=self._sdk.http.client, thread_id=self.thread_id, headers=self._stack.headers
        )
        self._exit.push_async_callback(transport.close)
        self._events = EventStream(transport)
        await self._events.subscribed()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._exit.aclose()

    def on_state(self, told: Callable[[str | None], None]) -> None:
        """Have ``told`` called with the reason when the connection is lost, and with None when it is there again."""
        self._events.on_state = told

    async def messages(self) -> list[dict[str, Any]]:
        """What was said so far, the newest 200."""
        with _refusals():
            state: Any = await self._sdk.threads.get_state(self.thread_id)
        return state["values"]["messages"]

    async def waiting(self) -> list[dict[str, Any]]:
        """What the thread waits for: ``{"id", "value"}`` each."""
        with _refusals():
            state: Any = await self._sdk.threads.get_state(self.thread_id)
        return [interrupt for task in state["tasks"] for interrupt in task["interrupts"]]

    async def unfinished(self) -> str | None:
        """The run that goes on, if there is one."""
        with _refusals():
            runs = await self._sdk.runs.list(self.thread_id, limit=10)
        return next((run["run_id"] for run in reversed(runs) if run["status"] in UNFINISHED), None)

    async def recent(self) -> list[dict[str, Any]]:
        """The account's threads, the newest first."""
        with _refusals():
            return [dict(thread) for thread in await self._sdk.threads.search(limit=10, sort_by="updated_at")]

    async def ask(self, text: str) -> str:
        """Send a message; the run that answers it. Its events are in `follow`."""
        if self._assistant is None:
            self._assistant = await self._last_assistant() if self._existing else _DEFAULT_ASSISTANT
        run_id = await self._start(self._assistant, input={"messages": [{"role": "user", "content": text}]})
        if self._is_untitled:
            self._is_untitled = False
            with _refusals():
                await self._sdk.threads.update(self.thread_id, metadata={"title": _title_of(text)})
        return run_id

    async def answer(self, answers: dict[str, Any] | str) -> str:
        """Answer what the thread waits for: by call whether it may be executed, or a question; the next run.

        Who has asked goes on, whoever answers messages: it has the tool.
        """
        return await self._start(await self._last_assistant(), command={"resume": answers})

    async def stop(self, run_id: str) -> None:
        """Have a run end as soon as possible; its events tell when it has."""
        with _refusals():
            await self._sdk.runs.cancel(self.thread_id, run_id)

    async def follow(self, run_id: str) -> AsyncGenerator[Frame]:
        """The events of a run that was begun over this connection, or that goes on: the terminal one last."""
        async with aclosing(self._events.of(run_id)) as events:
            async for event in events:
                yield event
                if event["method"] == "lifecycle" and event["params"]["data"]["event"] in TERMINAL:
                    return

    async def _last_assistant(self) -> str:
        with _refusals():
            runs = await self._sdk.runs.list(self.thread_id, limit=1)
        return runs[0]["assistant_id"] if runs else _DEFAULT_ASSISTANT

    async def _start(self, assistant: str, **what: Any) -> str:
        await self._events.subscribed()
        with _refusals():
            run = await self._sdk.runs.create(self.thread_id, assistant, **what)
        return run["run_id"]


class _AnotherLogError(Exception):
    """The thread was deleted and made again: its events' numbers begin anew."""


class EventStream:
    """A thread's events, over as many connections as it takes: each once, and in order.

    The SDK's own stream opens a connection again when it broke, and takes one that was closed in good order for the
    end: that is what a gateway does every two hours, and whenever it is replaced. Its transport asks by number. Where
    an event's id says that the thread was made again, whose numbers begin anew, its log is asked for from there.
    """

    def __init__(self, transport: ProtocolWebSocketTransport) -> None:
        self._transport = transport
        self._handle: EventStreamHandle | None = None
        self._early: list[Frame] = []
        self._since: int | None = None
        # Whose number that is.
        self._log: str | None = None
        self.on_state: Callable[[str | None], None] = lambda _: None

    async def subscribed(self) -> None:
        """Have a connection that is subscribed: of a run that is started after this, nothing is missed.

        Raises:
            RefusedError: the subscription was refused.
            OSError, WebSocketException: there was no connection.
        """
        if self._handle is not None and not self._handle.done.done():
            return
        await self._open()

    async def of(self, run_id: str) -> AsyncGenerator[Frame]:
        """The events of one run."""
        attempt = 0
        while True:
            try:
                await self.subscribed()
                async with aclosing(self._frames()) as frames:
                    async for frame in frames:
                        attempt = 0
                        if frame["params"].get("run_id") == run_id:
                            yield frame
                reason = "the connection was closed"
            except _AnotherLogError:
                await self._forget()
                continue
            except (OSError, WebSocketException) as error:
                reason = _why(error)
                if attempt == _PATIENCE:
                    raise
            attempt += 1
            self.on_state(reason)
            await asyncio.sleep(min(_LONGEST_PAUSE_S, 0.05 * 2**attempt))
            if self._since is None:
                # No event was seen, and the run may have ended meanwhile: from the log's beginning, then.
                self._since = 0

    async def _open(self) -> None:
        """Open a connection and subscribe, after the last event seen."""
        if self._handle is not None:
            await self._handle.close()
        since = {} if self._since is None else {"since": self._since}
        handle = self._handle = self._transport.open_event_stream({"channels": CHANNELS, **since})
        try:
            await handle.ready
        except InvalidStatus as error:
            raise _refused_handshake(error) from error
        async for frame in _read(handle):
            if frame["type"] == "error":
                if self._since and frame["error"] == "invalid_argument":
                    # No event has this number: it is of a log that is no more.
                    self._since, self._log = 0, None
                    await self._open()
                    return
                raise RefusedError(frame["message"])
            if frame["type"] == "success":
                self.on_state(None)
                return
            self._early.append(frame)
        raise ConnectionError("the connection was closed before the subscription was answered")

    async def _forget(self) -> None:
        """Nothing of the log that there is now was seen; what comes over this connection lacks its beginning."""
        self._since, self._log = 0, None
        self._early.clear()
        if self._handle is not None:
            await self._handle.close()

    async def _frames(self) -> AsyncGenerator[Frame]:
        while self._early:
            if self._takes(frame := self._early.pop(0)):
                yield frame
        if self._handle is not None:
            async for frame in _read(self._handle):
                if frame["type"] == "event" and self._takes(frame):
                    yield frame

    def _takes(self, frame: Frame) -> bool:
        log, _, _ = frame["event_id"].partition(":")
        if self._log not in {None, log}:
            raise _AnotherLogError
        self._log = log
        seq = frame.get("seq")
        if seq is None:
            return True
        if self._since is not None and seq <= self._since:
            return False
        self._since = seq
        return True


def _why(error: Exception) -> str:
    """What to tell of a connection that broke or did not come about, without the machinery's own words."""
    # Other errors' numbers are not the system's: those of names that are not found, and of TLS.
    if isinstance(error, ConnectionError | TimeoutError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


def _title_of(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1]}…"


def _read(handle: EventStreamHandle) -> AsyncIterator[Frame]:
    """All that comes: the SDK's type leaves out answers to commands, and numbers."""
    return cast("AsyncIterator[Frame]", handle.events)


@contextmanager
def _refusals() -> Generator[None]:
    """Have what the service refuses told in its own words."""
    try:
        yield
    except APIError as error:
        raise RefusedError(_told(error.response.status_code, error.response.text)) from error
    except httpx.HTTPStatusError as error:
        raise RefusedError(_told(error.response.status_code, "".join(error.__notes__))) from error


def _refused_handshake(error: InvalidStatus) -> Exception:
    status = error.response.status_code
    if status == _HTTP_RETRY or status >= _HTTP_FAULT:
        return error
    return RefusedError(_told(status, (error.response.body or b"").decode(errors="replace")))


def _told(status: int, body: str) -> str:
    try:
        return f"{status}: {json.loads(body)['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{status}: {body}"
