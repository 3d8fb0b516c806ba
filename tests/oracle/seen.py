"""What a server is seen to do: statuses, shapes of answers, orders of events; of values only words with a meaning."""

import re
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient

# Keys whose words mean something to a client, and are compared as they are.
_WORDS = {"status", "multitask_strategy", "type", "next", "stop_reason", "event"}
_HEADERS = ("content-location", "location", "x-pagination-next", "x-pagination-total")
_IDENTITY = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")
# The channels whose events are in one order; a client that wants others gets them beside these.
_ORDERED = {"lifecycle", "messages", "input.requested"}
_TYPES = {"human", "ai", "tool", "system"}


@dataclass(frozen=True)
class Seen:
    """One call. ``status``: of its first answer, ``None`` where there is none (a WebSocket).

    ``fields``: path in the answer -> its type or word. ``order``: names of events, repetitions together.
    """

    status: int | None = None
    error: str | None = None
    headers: tuple[str, ...] = ()
    fields: dict[str, str] = field(default_factory=dict[str, str])
    order: tuple[str, ...] = ()


class Recorder:
    """Records calls of one client, by method and case."""

    def __init__(self, sdk: LangGraphClient) -> None:
        self.sdk = sdk
        self.seen: dict[tuple[str, str], Seen] = {}
        self._answers: list[httpx.Response] = []
        sdk.http.client.event_hooks["response"].append(self._note)

    async def _note(self, answer: httpx.Response) -> None:
        self._answers.append(answer)

    async def call(self, method: str, case: str, call: Awaitable[Any]) -> Any:
        """Await the call; its answer, or ``None`` if it failed."""
        self._answers.clear()
        try:
            answer = await call
        except httpx.HTTPStatusError as error:
            self._add(method, case, error=str(error.response.status_code))
            return None
        except Exception as error:  # what a client raises is what is compared
            self._add(method, case, error=type(error).__name__)
            return None
        self._add(method, case, fields=shape(answer))
        return answer

    async def stream(self, method: str, case: str, parts: AsyncIterator[Any]) -> list[Any]:
        """Read a stream to its end; its parts."""
        self._answers.clear()
        taken: list[Any] = []
        try:
            async for part in parts:
                taken.append(part)
        except httpx.HTTPStatusError as error:
            self._add(method, case, error=str(error.response.status_code))
            return taken
        fields: dict[str, str] = {}
        for part in taken:
            fields |= shape(part.data, part.event)
        self._add(method, case, fields=fields, order=together(part.event for part in taken))
        return taken

    def events(self, method: str, case: str, events: Iterable[dict[str, Any]]) -> None:
        """Note a thread's events, as they came over the WebSocket."""
        names: list[str] = []
        fields: dict[str, str] = {}
        for event in events:
            data = event["params"]["data"]
            word = data.get("event") if isinstance(data, dict) and event["method"] != "values" else None
            name = f"{event['method']}:{word}" if word else event["method"]
            scope = "".join(f"{part.split(':')[0]}/" for part in event["params"]["namespace"])
            if event["method"] in _ORDERED:
                names.append(f"{scope}{name}")
            fields |= shape({key: value for key, value in event.items() if key != "type"}, name)
        self.seen[method, case] = Seen(fields=fields, order=together(names))

    def _add(self, method: str, case: str, **seen: Any) -> None:
        assert (method, case) not in self.seen, (method, case)
        first = self._answers[0] if self._answers else None
        if first is not None:
            seen["status"] = first.status_code
            seen["headers"] = tuple(name for name in _HEADERS if name in first.headers)
        self.seen[method, case] = Seen(**seen)


def together(names: Iterable[str]) -> tuple[str, ...]:
    """The names, of which one that follows itself stands once."""
    kept: list[str] = []
    for name in names:
        if not kept or kept[-1] != name:
            kept.append(name)
    return tuple(kept)


def shape(value: Any, path: str = "") -> dict[str, str]:
    """The paths in a JSON value, each with its type, or with its word where words mean something.

    Identifiers as keys are ``<id>``; items of a list are ``[]``, messages ``[human]`` and so on.
    """
    match value:
        case dict():
            found = {path: "object"}
            for key, item in value.items():
                name = _IDENTITY.sub("<id>", str(key))
                below = f"{path}.{name}"
                found |= {below: repr(item)} if key in _WORDS and _is_word(item) else shape(item, below)
            return found
        case list() | tuple():
            found = {path: f"list of {len(value)}"}
            for item in value:
                kind = item.get("type") if isinstance(item, dict) else None
                found |= shape(item, f"{path}[{kind if kind in _TYPES else ''}]")
            return found
        case None:
            return {path: "null"}
        case bool():
            return {path: "boolean"}
        case int() | float():
            return {path: "number"}
        case _:
            return {path: "string"}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
