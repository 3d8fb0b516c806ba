"""What the log says of a request, and what it never says."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from functions.api.request_log import path_of, request_fields
from tests.integration.deployed import aws_event

SECRET = "Zk9-" + 39 * "x"  # a ticket's length
# A password, another one, and the beginning of a key.
SHORT = ("hunter2", "swordfish", "sk-ant-12345678901234567890")
THREAD = str(uuid4())
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"


def _query(query: dict[str, list[str]]) -> Any:
    shown = request_fields({}, query)["query_params"]
    return None if shown is None else json.loads(shown)


@pytest.mark.parametrize("name", ["http_api_request", "websocket_connect", "websocket_message"])
def test_the_address_is_the_one_that_api_gateway_saw(name: str) -> None:
    event = aws_event(name)
    event["headers"] = {"X-Forwarded-For": "10.0.0.1"}
    assert request_fields(event, {})["client_ip"] == "203.0.113.7"


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("198.51.100.1, 2001:db8::1", "198.51.100.1, 2001:db8::1"),
        (f"{TOKEN}, 198.51.100.1", "198.51.100.1"),
        (SECRET, None),
        (f"::%{TOKEN}, fe80::1%{SECRET}", None),
        ("", None),
        ("192.0.2.9, " * 1000 + "192.0.2.1, 192.0.2.2", "192.0.2.9, 192.0.2.9, 192.0.2.1, 192.0.2.2"),
    ],
    ids=["edge", "a token among addresses", "a secret", "a secret for an interface", "empty", "long"],
)
def test_of_the_forwarding_header_only_addresses_are_shown(header: str, shown: str | None) -> None:
    assert request_fields({"headers": {"x-forwarded-for": header}}, {})["forwarded_for"] == shown


def test_known_parameters_are_shown_and_nothing_else() -> None:
    thread_id = "0b8f6c1e-3f0a-4d53-9a6e-0e2c9a8f8f11"
    query = {
        "limit": ["10"],
        "select": ["thread_id", "status"],
        "status": ["success"],
        "stream_mode": ["values", "messages-tuple"],
        "thread_id": [thread_id],
        "ticket": [SECRET],
        "unheard_of": ["a"],
    }
    assert _query(query) == {
        "limit": "10",
        "select": "***",
        "status": "success",
        "stream_mode": "values,messages-tuple",
        "thread_id": thread_id,
        "ticket": "***",
        "***": "***",
    }


@pytest.mark.parametrize(
    "query",
    [
        *({name: [SECRET]} for name in ("ticket", "token", "api_key", "authorization", "limit", "status", "x")),
        *({name: [TOKEN]} for name in ("ticket", "Authorization", "limit", "thread_id")),
        {SECRET: [""]},
        {"limit": ["1", SECRET]},
        *({name: [short]} for name in ("status", "thread_id", "action", "select", "before") for short in SHORT),
        {"status": [f"Bearer {TOKEN}"]},
    ],
    ids=str,
)
def test_no_secret_is_shown_wherever_it_stands(query: dict[str, list[str]]) -> None:
    shown = json.dumps(_query(query))
    assert not [secret for secret in (SECRET, TOKEN, *SHORT) if secret in shown]
    assert "***" in shown


def test_without_parameters_there_is_no_field() -> None:
    assert request_fields({}, {}) == {"client_ip": None, "forwarded_for": None, "query_params": None}


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/threads/{THREAD}/runs", f"/threads/{THREAD}/runs"),
        (f"/api-keys/{SECRET}", "/api-keys/{key_id}"),
        (f"/{SECRET}", "***"),
    ],
)
async def test_of_a_path_only_what_is_no_secret_is_logged(path: str, logged: str) -> None:
    async def answer() -> dict[str, str]:
        return {}

    app = FastAPI(routes=[APIRoute("/threads/{thread_id}/runs", answer), APIRoute("/api-keys/{key_id}", answer)])
    scopes: list[Scope] = []

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(kept), base_url="http://api") as client:
        await client.get(path)
    assert path_of(scopes[0]) == logged
