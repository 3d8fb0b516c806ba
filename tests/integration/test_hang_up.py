"""Ending a connection: whoever is refused for good is told so before the connection closes, however fast that is."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from functions.api.limits.limiter import STRIKES
from functions.api.websocket import main
from shared.errors import FunctionsUnavailableError
from shared.stream import wake
from shared.stream.hang_up import hang_up
from tests.integration.gateway import Gateway

pytestmark = pytest.mark.usefixtures("either_redis", "subscriptions_table")

PING = '{"id": 7, "method": "ping"}'


@pytest.fixture
def connection_id() -> str:
    return f"{uuid4().hex[:15]}="


@pytest.fixture
def hung_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connections that the sender function ended: it does so at once, before anything else goes on."""
    found: list[str] = []

    async def invoke(payload: dict[str, Any], function: str | None = None) -> None:
        del function
        for one in payload["close"]:
            await hang_up(one, last_frame=payload["last_frame"])
            found.append(one)

    monkeypatch.setattr(wake, "_invoke", invoke)
    return found


def _refusals(frames: Sequence[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(frame["type"], frame["id"], frame["error"], "connect again" in frame["message"]) for frame in frames}


REFUSAL = ("error", 7, "permission_denied", True)


async def test_a_refusal_arrives_before_its_connection_closes(
    posts: Gateway, hung_up: list[str], connection_id: str
) -> None:
    # The gateway drops what is returned to it for a connection that is closed: nothing may depend on that.
    assert await main._message(PING, connection_id) == {"statusCode": 200}
    assert _refusals(posts.sent[connection_id]) == {REFUSAL}
    assert posts.closed == hung_up == [connection_id]


async def test_where_nobody_can_be_woken_the_refusal_is_the_answer(
    posts: Gateway, connection_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(payload: dict[str, Any], function: str | None = None) -> None:
        raise FunctionsUnavailableError

    monkeypatch.setattr(wake, "_invoke", away)
    answer = await main._message(PING, connection_id)
    assert _refusals([json.loads(answer["body"])]) == {REFUSAL}
    assert posts.sent == {}


async def test_whoever_sends_after_the_end_is_refused_and_hung_up_a_few_times_only(
    posts: Gateway, hung_up: list[str], connection_id: str
) -> None:
    for _ in range(STRIKES.burst + 10):
        answer = await main._message(PING, connection_id)
        assert "body" not in answer or _refusals([json.loads(answer["body"])]) == {REFUSAL}
    assert len(hung_up) == STRIKES.burst
    assert posts.closed == [connection_id]


async def test_a_last_frame_that_the_gateway_refuses_keeps_no_connection_open(
    posts: Gateway, connection_id: str
) -> None:
    posts.answers = [413]
    await hang_up(connection_id, last_frame='{"type": "error"}')
    assert (posts.sent, posts.closed) == ({}, [connection_id])
