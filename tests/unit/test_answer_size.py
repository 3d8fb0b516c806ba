"""A function's answer has a limit; what would go over it is an error that says what to ask for instead."""

import json

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from functions.api.http.middleware import LARGEST_ANSWER_BYTES, RequestMiddleware


async def _answered(body: bytes) -> httpx.Response:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(body, media_type="application/json", headers={"x-own": "1"})(scope, receive, send)

    transport = httpx.ASGITransport(RequestMiddleware(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.get("/threads")


def _in_an_answer(body: bytes) -> int:
    """What of a function's answer the body takes."""
    return len(json.dumps(body.decode(), ensure_ascii=False).encode())


@pytest.mark.parametrize("word", [b"x", b'"', "é".encode(), b"\\n"])
async def test_what_fits_is_answered_and_what_does_not_is_an_error(word: bytes) -> None:
    each = _in_an_answer(word) - 2
    fits = word * ((LARGEST_ANSWER_BYTES - 2) // each)
    answer = await _answered(fits)
    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (200, fits, "1")
    answer = await _answered(fits + word)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_argument")
    assert "'limit'" in answer.json()["message"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["content-length"]) == len(answer.content)
