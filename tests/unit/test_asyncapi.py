"""docs/asyncapi.json: whole in itself, and true of what we build."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from functions.api import commands
from functions.api.command_types import COMMANDS
from scripts import asyncapi
from shared.events import CHANNELS, CUSTOM, Event
from tests.unit.test_events import BUILT, _frame

ROOT = Path(__file__).parents[2]


@cache
def _document() -> dict[str, Any]:
    return json.loads(json.dumps(asyncapi.described()))


def _inside(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _inside(item)


def _at(reference: str) -> Any:
    found: Any = _document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def _validate(message: str, value: object) -> None:
    schema = {**_document()["components"]["messages"][message]["payload"], "components": _document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_every_reference_leads_somewhere() -> None:
    references = [node["$ref"] for node in _inside(_document()) if isinstance(node.get("$ref"), str)]
    assert references
    assert all(isinstance(_at(reference), dict) for reference in references)


def test_every_schema_is_a_schema() -> None:
    components = _document()["components"]
    for schema in [*components["schemas"].values(), *(one["payload"] for one in components["messages"].values())]:
        jsonschema.Draft202012Validator.check_schema(schema)


def test_operations_have_what_asyncapi_3_requires() -> None:
    document = _document()
    assert document["asyncapi"] == "3.0.0"
    assert document["info"].keys() >= {"title", "version"}
    of_channel = document["channels"]["thread"]["messages"]
    assert of_channel.keys() == document["components"]["messages"].keys()
    told = set()
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"] == {"$ref": "#/channels/thread"}
        for message in [*operation["messages"], *operation.get("reply", {}).get("messages", [])]:
            prefix, _, name = message["$ref"].rpartition("/")
            assert prefix == "#/channels/thread/messages"
            told.add(name)
    assert told == of_channel.keys()


def test_every_command_is_described() -> None:
    assert COMMANDS.keys() == commands._HANDLERS.keys()
    assert {name for name in _document()["operations"] if name != "events"} == COMMANDS.keys()


@pytest.mark.parametrize("event", [built[1] for built in BUILT], ids=[built[0] for built in BUILT])
def test_every_event_that_we_build_is_described(event: Event) -> None:
    frame = _frame(event)
    _validate(f"event.{event.method}", frame)
    _validate(f"event.{event.method}", {**frame, "prev_seq": 42})


def test_what_is_not_described_is_refused() -> None:
    frame = _frame(BUILT[0][1])
    for wrong in ({**frame, "more": 1}, {**frame, "method": "messages"}, {**frame, "params": {}}):
        with pytest.raises(jsonschema.ValidationError):
            _validate("event.custom", wrong)
    with pytest.raises(jsonschema.ValidationError):
        _validate("error", {"type": "error", "id": 1, "error": "broken", "message": "x"})


async def test_a_refusal_is_described() -> None:
    caller = commands.Caller(account_id="account", thread_id=uuid4())
    for body in ("", '{"id": 1, "method": "nothing"}', '{"id": 1, "method": "state.fork"}'):
        _validate("error", await commands.execute(body, caller))


def test_channels_and_names_of_custom_events_are_those_of_the_code() -> None:
    known = _document()["components"]["schemas"]["Channel"]["anyOf"][0]["enum"]
    assert known == sorted(CHANNELS)
    named = set()
    for file in [*(ROOT / "functions").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "events.custom":
                named.add(ast.literal_eval(node.args[1]))
    assert named == CUSTOM.keys() - {"gap", "connection_expiring"}
