"""The API's description: whole in itself, with names that clients are made of, and true of who may ask."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from functions.api.http.app import build_app

TOKEN = {"token": []}
KEY = {"apiKey": []}


@cache
def _document() -> dict[str, Any]:
    return build_app().openapi()


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in _document()["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_every_reference_leads_to_a_schema() -> None:
    references = set(_references(_document()))
    assert len(references) > 20
    assert references <= {f"#/components/schemas/{name}" for name in _document()["components"]["schemas"]}


def test_operations_have_names_of_their_own_that_can_be_read() -> None:
    names = [operation["operationId"] for _, operation in _operations()]
    assert len(set(names)) == len(names)
    assert {"createThread", "searchThreads", "createRun", "getAgentRun", "copyThread"} <= set(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]*){1,5}", name)] == []


def test_every_tag_says_what_it_is_for() -> None:
    described = {tag["name"] for tag in _document()["tags"] if tag["description"]}
    assert described == {tag for _, operation in _operations() for tag in operation["tags"]}


def test_who_may_ask_is_said_of_every_operation() -> None:
    assert _document()["components"]["securitySchemes"].keys() == {"token", "apiKey"}
    said = {name: operation["security"] for name, operation in _operations()}
    assert said.pop("GET /ok") == []
    with_token = {name for name, schemes in said.items() if schemes == [TOKEN]}
    assert with_token == {"POST /api-keys", "GET /api-keys", "DELETE /api-keys/{key_id}", "DELETE /account"}
    assert all(said[name] == [TOKEN, KEY] for name in said.keys() - with_token)


def test_credentials_are_no_parameters() -> None:
    # OpenAPI ignores a parameter with the name Authorization: tools warn of it.
    found = [parameter for _, operation in _operations() for parameter in operation.get("parameters", [])]
    names = {parameter["name"].lower() for parameter in found}
    assert "idempotency-key" in names
    assert not names & {"authorization", "x-api-key"}
