"""Ending a connection: whoever is refused for good is told so before the connection closes, however fast that is."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.limits.limiter import STRIKES
from functions.api.sender import main as sender
from functions.api.websocket import main
from shared.aws.clients import dynamodb
from shared.errors import FunctionsUnavailableError, LimitExceededError
from shared.settings import stream_settings
from shared.stream import open_connections, subscriptions, wake
from shared.stream.closing import end
from shared.stream.connections import ThrottledError
from shared.stream.filters import Filter
from shared.stream.hang_up import hang_up
from shared.stream.subscriptions import LIFE_S, ConnectionRecord
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


async def test_whoever_sends_after_the_end_is_refused_and_hung_up_once(
    posts: Gateway, hung_up: list[str], connection_id: str
) -> None:
    for _ in range(STRIKES.burst + 10):
        answer = await main._message(PING, connection_id)
        assert "body" not in answer or _refusals([json.loads(answer["body"])]) == {REFUSAL}
    assert hung_up == posts.closed == [connection_id]


async def test_a_last_frame_that_the_gateway_refuses_keeps_no_connection_open(
    posts: Gateway, connection_id: str
) -> None:
    posts.answers = [413]
    await hang_up(connection_id, last_frame='{"type": "error"}')
    assert (posts.sent, posts.closed) == ({}, [connection_id])


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the sender function was woken to close; it has not come yet."""
    found: list[list[str]] = []

    async def invoke(payload: dict[str, Any], function: str | None = None) -> None:
        del function
        found.append(payload["close"])

    monkeypatch.setattr(wake, "_invoke", invoke)
    return found


async def _opened(account_id: str, *, good_for_s: float = 600, opened_ago_s: float = 0) -> ConnectionRecord:
    """A connection of the account that watches its thread."""
    now = time.time()
    record = ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id=account_id,
        thread_id=uuid4(),
        opened_at=now - opened_ago_s,
        credential_expires_at=now + good_for_s,
    )
    await main._open(record, most=None)
    await subscriptions.add(record, Filter(subscription_id="s", channels=frozenset({"messages"})), since=0)
    return record


async def _counted(account_id: str) -> int:
    """How many connections the account has open."""
    answer = await (await dynamodb()).query(
        TableName=stream_settings().subscriptions_table,
        KeyConditionExpression="thread_id = :account",
        ExpressionAttributeValues={":account": {"S": open_connections._partition(account_id)}},
        ConsistentRead=True,
    )
    return answer["Count"]


async def _watched(thread_id: UUID, account_id: str) -> int:
    return len(await subscriptions.of_thread(thread_id, account_id=account_id))


async def test_a_connection_that_takes_nothing_is_closed_all_the_same(posts: Gateway, account_id: str) -> None:
    record = await _opened(account_id)
    posts.deaf.add(record.connection_id)
    await hang_up(record.connection_id, last_frame='{"type": "error"}')
    # Nobody has waited until the gateway gave up: the frame is on its way still.
    assert (posts.closed, posts.sent) == ([record.connection_id], {})
    assert await _counted(account_id) == 0
    posts.deaf.clear()
    posts.hears.set()


@pytest.mark.parametrize("status", [429, 500])
async def test_a_last_frame_that_fails_keeps_no_connection_open(posts: Gateway, account_id: str, status: int) -> None:
    record = await _opened(account_id)
    posts.answers = [status]
    await hang_up(record.connection_id, last_frame='{"type": "error"}')
    assert (posts.answers, posts.closed) == ([], [record.connection_id])


async def test_what_is_not_closed_is_not_forgotten_and_is_closed_by_whoever_comes_again(
    posts: Gateway, account_id: str
) -> None:
    first, second = [await _opened(account_id) for _ in range(2)]
    ids = [first.connection_id, second.connection_id]
    posts.closing = [429]
    with pytest.raises(ThrottledError):
        await sender._close(ids, last_frame=None)
    # The other one of the same invocation is closed by then.
    assert (len(posts.closed), await _counted(account_id)) == (1, 1)
    await sender._close(ids, last_frame=None)
    assert set(posts.closed) == set(ids)
    assert await _counted(account_id) == 0


@pytest.mark.usefixtures("database")
async def test_one_connection_wakes_one_sender_however_much_it_sends(
    posts: Gateway, woken: list[list[str]], account_id: str
) -> None:
    over = await _opened(account_id, good_for_s=-1)
    unknown = f"{uuid4().hex[:15]}="
    for one in (over.connection_id, unknown):
        answers = await asyncio.gather(*(main._message(PING, one) for _ in range(STRIKES.burst + 10)))
        assert sum("body" not in answer for answer in answers) == 1
    assert woken == [[over.connection_id], [unknown]]
    assert posts.closed == []


async def test_what_a_connection_sends_until_it_is_closed_counts_against_its_account(
    posts: Gateway, woken: list[list[str]], account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    async def admit(_: object, account_id: str, **__: Any) -> None:
        counted.append(account_id)

    monkeypatch.setattr(type(main.limiter()), "admit", admit)
    over, revoked = await _opened(account_id, good_for_s=-1), await _opened(account_id)
    await end([revoked.connection_id])
    for one in (over, revoked):
        for _ in range(3):
            await main._message(PING, one.connection_id)
        assert await _watched(one.thread_id, account_id) == 0
    assert counted == [account_id] * 6
    assert sorted(woken) == sorted([[over.connection_id], [revoked.connection_id]])
    assert await _counted(account_id) == 2


async def test_one_that_is_over_counts_until_it_is_closed_and_is_when_there_is_no_room(
    posts: Gateway, woken: list[list[str]], account_id: str
) -> None:
    over = await _opened(account_id, good_for_s=-1)
    ended = await _opened(account_id, opened_ago_s=LIFE_S + 1)
    another = replace(over, connection_id=f"{uuid4().hex[:15]}=", credential_expires_at=time.time() + 600)
    with pytest.raises(LimitExceededError):
        await main._open(another, most=1)
    assert woken == [[over.connection_id]]
    await sender._close(woken[0], last_frame=None)
    await main._open(another, most=1)
    assert posts.closed == [over.connection_id]
    assert await subscriptions.get_connection(ended.connection_id) is None
