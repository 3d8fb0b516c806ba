"""How many values a request may have, and that no field of any takes more than it says."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message, Receive, Scope, Send

from functions.api.body import MOST_MESSAGE_VALUES
from functions.api.command_types import COMMANDS, Command
from functions.api.commands import Caller, execute
from functions.api.http.app import build_app
from functions.api.http.identity import authenticates
from functions.api.values import MOST_VALUES, is_form, require_few_values
from functions.api.wire import InputMessage
from shared.agent_config import AgentConfig, RunOptions
from shared.errors import InvalidRequestError
from shared.values import ValueCount

M = 4 * 1024 * 1024 - 300
JSON_TYPE = {"content-type": "application/json"}


def _values(value: Any) -> int:
    match value:
        case dict():
            return 1 + sum(map(_values, value.values()))
        case list():
            return 1 + sum(map(_values, value))
        case _:
            return 1


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_strings_hold_no_values(value: Any) -> None:
    """Whatever is in its texts: what is counted outside of them is what there is."""
    assert _values(value) - 1 <= ValueCount().take(json.dumps(value).encode()) <= 2 * _values(value)


@given(
    st.recursive(
        st.none() | st.text(alphabet='a"\\\n\r,[{') | st.integers(), lambda inner: st.lists(inner, max_size=5)
    ),
    st.integers(1, 9),
    st.sampled_from([None, 1]),
)
def test_however_a_text_is_cut_its_values_are_the_same(value: Any, size: int, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    counting = ValueCount()
    assert [counting.take(part) for part in _parts(text, size)][-1] == ValueCount().take(text)


@given(
    st.lists(st.lists(st.text(alphabet='a"\\,[{'), max_size=5), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r", "\r\n"]),
    st.sampled_from(["", 'event: "', ': "\\', ': \\"[', "\ndata:"]),
    st.integers(1, 9),
)
def test_of_a_stream_of_events_the_values_of_one_are_counted(
    values: list[Any], end: str, before: str, size: int
) -> None:
    """However its lines end, and whatever else they are: a quotation mark in one hides nothing of the next."""
    lines = [f"{before.replace('\n', end)}{end}data: {json.dumps(value)}{end}{end}" for value in values]
    counting = ValueCount(events=True)
    most = max(counting.take(part) for part in _parts("".join(lines).encode(), size))
    assert max(map(_values, values)) - 1 <= most <= 2 * max(map(_values, values)) + 1


def _parts(text: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(text), size):
        yield text[at : at + size]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@given(st.dictionaries(st.text(), st.lists(st.integers())))
def test_what_is_not_utf_8_is_refused_since_a_parser_would_guess(encoding: str, value: Any) -> None:
    body = json.dumps(value, ensure_ascii=False).encode(encoding, errors="surrogatepass")
    with pytest.raises(InvalidRequestError, match="UTF-8"):
        require_few_values(body)


@pytest.mark.parametrize("content_type", ["Multipart/Form-Data; boundary=x", "Application/X-WWW-Form-Urlencoded"])
def test_a_form_is_one_however_its_type_is_written(content_type: str) -> None:
    assert is_form(content_type)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"messages": [{"role": "user", "content": "a, [b], {c}, " * 300_000}]}),
        json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}] * 1000}),
        json.dumps({"content": 'he said: "' * 100_000}),
        json.dumps([0] * (MOST_VALUES - 1)),
    ],
    ids=["commas", "a thousand messages", "quotes", "as many as there may be"],
)
def test_what_clients_send_passes(body: str) -> None:
    require_few_values(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * (M // 2) + b"1]",
        b'{"metadata": {"a": [' + b"[]," * (M // 4) + b"1]}}",
        b"{" + b'"a":{' * (M // 6),
        b"[" * M,
        b'"' + b'\\"' * 1000 + b'", [' + b'"",' * (M // 4),
        json.dumps([0] * (MOST_VALUES + 1)).encode(),
    ],
    ids=["items", "lists", "members", "open lists", "strings", "one too many"],
)
async def test_a_body_of_very_many_values_is_refused_before_it_is_read(body: bytes) -> None:
    for path in ("/threads/search", "/nowhere"):
        answer = await _asked(path, body, JSON_TYPE)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_argument")
        assert "50,000 values" in answer.json()["message"]
    with pytest.raises(InvalidRequestError):
        require_few_values(body)
    told = await execute(body.decode(), Caller(account_id="a", thread_id=uuid4()))
    assert (told["type"], told["error"]) == ("error", "invalid_argument")
    assert "50,000 values" in told["message"]


async def test_a_form_of_very_many_fields_is_refused_before_it_is_read() -> None:
    answer = await _asked(
        "/api/agent/initiate", b"prompt=x" + b"&a" * 1001, {"content-type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, answer.json()["message"]) == (422, "a form has at most 1,000 fields")


async def test_of_very_many_errors_a_hundred_are_told() -> None:
    body = json.dumps({"ids": ["x"] * 1000}).encode()
    answer = await _asked("/threads/search", body, JSON_TYPE)
    assert (answer.status_code, len(answer.json()["detail"])) == (422, 100)


def test_a_message_has_a_bounded_number_of_values() -> None:
    def message(count: int) -> InputMessage:
        return InputMessage.model_validate({"role": "user", "content": [{"type": "text", "x": [1] * count}]})

    message(MOST_MESSAGE_VALUES - 3)
    with pytest.raises(ValidationError, match="at most 20,000 values"):
        message(MOST_MESSAGE_VALUES - 2)


@cache
def _app() -> FastAPI:
    app = build_app()
    app.dependency_overrides[authenticates] = lambda: None
    return app


async def _asked(path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    app = _app()

    async def whole(scope: Scope, _receive: Receive, send: Send) -> None:
        # As Mangum gives it: in one message.
        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        await app(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(whole), base_url="http://test") as http:
        return await http.post(path, content=body, headers=headers)


def _fields(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    for field in (*dependant.body_params, *dependant.query_params, *dependant.header_params):
        yield field.name, Annotated[field.field_info.annotation, field.field_info]
    for below in dependant.dependencies:
        yield from _fields(below)


def _taken() -> Iterator[tuple[str, Any]]:
    """All that is validated of what somebody sends: of routes, of commands, of configurations."""
    for context in iter_route_contexts(_app().routes):
        if isinstance(route := context.original_route, APIRoute):
            for name, annotation in _fields(route.dependant):
                yield f"{context.path_format} {name}", annotation
    for name, command in COMMANDS.items():
        yield name, command.params
    yield from (("a command", Command), ("a configuration", AgentConfig), ("options", RunOptions))


def _unbounded(schema: Any, path: str) -> Iterator[str]:
    """Lists and open objects in a JSON Schema that do not say how many they take."""
    if isinstance(schema, list):
        for at, inner in enumerate(schema):
            yield from _unbounded(inner, f"{path}.{at}")
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield path
    is_open = "properties" not in schema and schema.get("additionalProperties", True)
    if schema.get("type") == "object" and is_open and "maxProperties" not in schema:
        yield path
    for key, inner in schema.items():
        if key not in {"default", "examples", "enum", "required", "const"}:
            yield from _unbounded(inner, f"{path}.{key}")


def test_every_list_and_every_open_object_that_is_taken_says_how_many_it_takes() -> None:
    found = [
        place for name, annotation in _taken() for place in _unbounded(TypeAdapter(annotation).json_schema(), name)
    ]
    assert found == []
    # It would be found.
    assert [*_unbounded(TypeAdapter(dict[str, list[int]]).json_schema(), "x")] == ["x", "x.additionalProperties"]
