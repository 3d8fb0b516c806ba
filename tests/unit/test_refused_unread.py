"""What no route can read is refused with what the API's description says of that route."""

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.types import Message, Receive, Scope, Send

from functions.api.http.app import build_app
from functions.api.http.identity import authenticates
from functions.api.http.middleware import LARGEST_BODY_BYTES
from functions.api.values import MOST_VALUES
from shared.errors import UnauthenticatedError

JSON_TYPE = "application/json"
FORM_TYPE = "multipart/form-data"
# By what is wrong with them: the type that a body claims to have, and the body.
UNREADABLE: dict[str, tuple[str, bytes]] = {
    "not UTF-8": (JSON_TYPE, b'{"metadata": "\xff"}'),
    "not JSON": (JSON_TYPE, b'{"metadata"'),
    "too many values": (JSON_TYPE, b"[" + b"1," * MOST_VALUES + b"1]"),
    "too large": (JSON_TYPE, b" " * (LARGEST_BODY_BYTES + 1)),
    "a form without boundaries": (FORM_TYPE, b"prompt=x"),
    "a form of other bytes": ("application/x-www-form-urlencoded", b"prompt=%ff&\xff"),
    "nothing": (JSON_TYPE, b""),
}


def _nobody() -> None:
    raise UnauthenticatedError("nobody")


@cache
def _app() -> FastAPI:
    app = build_app()
    app.dependency_overrides[authenticates] = _nobody
    return app


def _routes() -> Iterator[tuple[str, str]]:
    """Methods and paths of all that is described."""
    for context in iter_route_contexts(_app().routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            yield from ((method, str(context.path_format)) for method in sorted(route.methods or ()))


async def _asked(method: str, path: str, content_type: str, body: bytes) -> int:
    async def whole(scope: Scope, _receive: Receive, send: Send) -> None:
        # As Mangum gives it: in one message.
        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        await _app()(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(whole), base_url="http://test") as http:
        named = path.replace("{", "").replace("}", "")
        return (await http.request(method, named, content=body, headers={"content-type": content_type})).status_code


def _described(method: str, path: str) -> dict[str, Any]:
    return _app().openapi()["paths"][path][method.lower()]["responses"]


@pytest.mark.parametrize("wrong", UNREADABLE)
async def test_what_cannot_be_read_has_a_described_answer_on_every_route(wrong: str) -> None:
    routes = [*_routes()]
    answers = await asyncio.gather(*(_asked(*route, *UNREADABLE[wrong]) for route in routes))
    assert [
        (*route, status) for route, status in zip(routes, answers, strict=True) if str(status) not in _described(*route)
    ] == []


def test_every_route_says_what_is_refused_before_it_is_looked_for() -> None:
    """The function itself answers 400 where a path, a query or a header is not UTF-8."""
    assert [route for route in _routes() if not {"400", "413", "422", "500"} <= _described(*route).keys()] == []
