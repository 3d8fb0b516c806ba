"""The limit on an account's rate: exact with many clients, one command a request, and there while Redis is not."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis.asyncio.connection import AbstractConnection

from functions.api.command_types import COMMANDS
from functions.api.limits import limiter as limits
from functions.api.limits.gcra import Limit, Verdict, take
from functions.api.limits.limiter import PLAN_LIFE_S, STRIKES, UNKNOWN_PLAN, RateLimiter, key
from shared.errors import DatabaseUnavailableError, RateLimitedError
from shared.migrate import migrate
from shared.stream import redis_client, subscriptions
from tests.cable import Cable
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deployed import Deployed, HttpApi, WebSocketApi, token
from tests.integration.function_process import FunctionProcess

CLIENTS = 50
ATTEMPTS_EACH = 240
# No test here waits for it.
PATIENCE_S = 60.0


@pytest.fixture
async def redis(either_redis: str) -> Any:
    """Redis, reachable: a cluster, and an ordinary one."""
    del either_redis
    await redis_client.open_redis()
    return redis_client.redis()


def _limiter() -> RateLimiter:
    return RateLimiter(redis_patience_s=PATIENCE_S)


async def _plan(database: Database, account_id: str, *, per_minute: int, burst: int) -> None:
    """Give the account a plan of its own."""
    await database.connection.execute(
        "INSERT INTO plans (plan_id, max_unfinished_runs, requests_per_minute, request_burst) VALUES ($1, 10, $2, $3)"
        " ON CONFLICT (plan_id) DO UPDATE SET requests_per_minute = $2, request_burst = $3",
        account_id,
        per_minute,
        burst,
    )
    await database.connection.execute(
        "INSERT INTO accounts (account_id, plan_id) VALUES ($1, $1) ON CONFLICT DO NOTHING", account_id
    )


async def _redis_us(redis: Any) -> int:
    seconds, microseconds = await redis.time()
    return seconds * 1_000_000 + microseconds


async def test_plans_allow_100_a_minute_and_50_at_once(empty_database: Database) -> None:
    await migrate(empty_database.connection, lease_s=30)
    rows = await empty_database.connection.fetch("SELECT requests_per_minute, request_burst FROM plans")
    assert [tuple(row) for row in rows] == [(100, 50)]


@pytest.mark.parametrize("either_redis", ["a cluster"], indirect=True)
async def test_50_clients_at_once_get_burst_and_rate_within_one_percent(
    redis: Any, database: Database, account_id: str
) -> None:
    per_minute, burst = 18_000, 300
    await _plan(database, account_id, per_minute=per_minute, burst=burst)
    # As many processes have as many limiters.
    clients = [_limiter() for _ in range(CLIENTS)]

    async def hammer(own: RateLimiter, attempts: int) -> int:
        return sum([(await own.take(account_id)).admitted for _ in range(attempts)])

    async def one_more() -> tuple[int, Verdict]:
        """What became of one more request, and when that was by Redis' clock."""
        verdict = await clients[0].take(account_id)
        return int(await redis.get(key(account_id))) - verdict.ahead_us, verdict

    # The burst is there at once, and what the rate brings meanwhile.
    before = await _redis_us(redis)
    admitted = sum(await asyncio.gather(*(hammer(client, 20) for client in clients)))
    assert burst <= admitted <= burst + (await _redis_us(redis) - before) * per_minute / 60_000_000 + 1

    # From here on it is the rate alone; who was not there to take what it brought may take it still.
    begun_us, first = await one_more()
    admitted = sum(await asyncio.gather(*(hammer(client, ATTEMPTS_EACH) for client in clients)))
    ended_us, last = await one_more()
    expected = first.remaining + (ended_us - begun_us) * per_minute / 60_000_000
    assert admitted < CLIENTS * ATTEMPTS_EACH, "they asked faster than the limit"
    assert expected >= 100
    assert admitted + last.admitted + last.remaining == pytest.approx(expected, rel=0.01)


async def test_a_request_is_one_round_trip(
    redis: Any, database: Database, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _plan(database, account_id, per_minute=60, burst=10)
    own = _limiter()
    await own.take(account_id)
    sent: list[bytes] = []
    send = AbstractConnection.send_packed_command

    async def counting(self: Any, command: Any, *arguments: Any, **more: Any) -> None:
        sent.append(b"".join(command) if isinstance(command, (list, tuple)) else command)
        await send(self, command, *arguments, **more)

    def no_connection() -> None:
        raise AssertionError("the plan is known")

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counting)
    monkeypatch.setattr(limits, "connection", no_connection)
    verdicts = [await own.take(account_id) for _ in range(12)]
    assert len(sent) == 12
    assert all(command.count(b"EVAL") == 1 for command in sent)
    assert [verdict.admitted for verdict in verdicts] == [True] * 9 + [False] * 3


@pytest.mark.parametrize(("per_minute", "burst"), [(1, 1), (1, 3), (100, 50), (20, 5), (7, 1_000_000)])
async def test_the_script_does_what_the_arithmetic_says(
    redis: Any, database: Database, account_id: str, per_minute: int, burst: int
) -> None:
    limit = Limit(per_minute, burst)
    await _plan(database, account_id, per_minute=per_minute, burst=burst)
    own = _limiter()
    for _ in range(burst + 2 if burst < 10 else 10):
        before = await redis.get(key(account_id))
        verdict = await own.take(account_id)
        after = await redis.get(key(account_id))
        # What it keeps is the clock it went by, and how far the account is ahead of that: every digit of it.
        now_us = int(after) - verdict.ahead_us
        if verdict.admitted or before is None:
            assert take(int(before or now_us), now_us, limit) == (int(after), verdict)
        else:
            assert after == before
        if verdict.admitted:
            assert 0 <= await _redis_us(redis) - now_us < 60_000_000
        # It goes when it says nothing any more.
        assert 0 < await redis.pttl(key(account_id)) <= verdict.ahead_us // 1000 + 100


async def test_an_arrival_time_of_another_clock_locks_nobody_out(
    redis: Any, database: Database, account_id: str
) -> None:
    await _plan(database, account_id, per_minute=60_000, burst=2)
    await redis.set(key(account_id), await _redis_us(redis) + 3_600_000_000)
    own = _limiter()
    refused = await own.take(account_id)
    assert (refused.admitted, refused.ahead_us) == (False, 2_000)
    while not (await own.take(account_id)).admitted:
        pass


async def test_accounts_do_not_share_a_limit_and_an_unknown_one_has_the_default_plan(
    redis: Any, database: Database, account_id: str
) -> None:
    await _plan(database, account_id, per_minute=1, burst=1)
    await database.connection.execute(
        "UPDATE plans SET requests_per_minute = 7, request_burst = 3 WHERE plan_id = 'default'"
    )
    own = _limiter()
    assert (await own.admit(account_id)).remaining == 0
    with pytest.raises(
        RateLimitedError, match=r"allows 1 requests a minute, 1 of them at once: come back in [3-6]\d s"
    ):
        await own.admit(account_id)
    unknown = await own.admit(str(uuid4()))
    assert unknown.limit == Limit(7, 3)


async def test_a_changed_plan_counts_within_a_minute(redis: Any, database: Database, account_id: str) -> None:
    now = 0.0
    own = RateLimiter(redis_patience_s=PATIENCE_S, clock=lambda: now)
    await _plan(database, account_id, per_minute=60, burst=5)
    await own.admit(account_id)
    await _plan(database, account_id, per_minute=120, burst=9)
    now = PLAN_LIFE_S - 1
    assert (await own.admit(account_id)).limit == Limit(60, 5)
    now = PLAN_LIFE_S
    assert (await own.admit(account_id)).limit == Limit(120, 9)


async def test_while_redis_is_cut_off_the_process_goes_on_by_itself(
    either_redis: str, database: Database, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _plan(database, account_id, per_minute=1, burst=10)
    cable = Cable(urlsplit(either_redis).port or 6379)
    cable.plug()
    # A cluster says where its nodes are: that is the cable's other end.
    client = redis_client.Client(f"redis://127.0.0.1:{cable.port}/0", address_remap=lambda _: ("127.0.0.1", cable.port))
    monkeypatch.setattr(redis_client, "redis", lambda: client)
    now = 0.0
    own = RateLimiter(redis_patience_s=PATIENCE_S, clock=lambda: now)
    try:
        assert [(await own.take(account_id)).remaining for _ in range(3)] == [9, 8, 7]
        cable.cut()
        # It does not know what Redis knew, and it does not ask again at once.
        verdicts = [await own.take(account_id) for _ in range(12)]
        assert [verdict.admitted for verdict in verdicts] == [True] * 10 + [False] * 2
        assert verdicts[-1].next_s == 60
        cable.plug()
        assert not (await own.take(account_id)).admitted
        now = 5.0
        assert (await own.take(account_id)).remaining == 6
    finally:
        cable.cut()
        await client.aclose()


async def test_without_a_plan_nobody_is_let_in_and_a_known_one_needs_no_database(
    redis: Any, database: Database, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = _limiter()
    await own.admit(account_id)

    def away() -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr(limits, "connection", away)
    await own.admit(account_id)
    with pytest.raises(DatabaseUnavailableError):
        await own.admit(str(uuid4()))


@pytest.fixture(scope="module")
def http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function("functions.api.http.main.handler"))


async def test_over_http_every_answer_says_what_is_left_and_429_when_to_come_back(
    http: HttpApi, deployed: Deployed, account_id: str
) -> None:
    await _plan(deployed.database, account_id, per_minute=1, burst=3)
    made = http.request("POST", "/threads", {}, account_id=account_id)
    missing = http.request("GET", f"/threads/{uuid4()}", account_id=account_id)
    invalid = http.request("POST", "/threads", {"metadata": 7}, account_id=account_id)
    refused = http.request("POST", "/threads", {}, account_id=account_id)
    assert [answer.status for answer in (made, missing, invalid, refused)] == [200, 404, 422, 429]
    told = [re.split("[;=]", answer.headers["ratelimit"]) for answer in (made, missing, invalid, refused)]
    assert [(what, left) for what, _, left, _, _ in told] == [('"requests"', left) for left in "2100"]
    # Requests take their time, too.
    assert all(30 < int(seconds) <= 60 for *_, seconds in told)
    assert {answer.headers["ratelimit-policy"] for answer in (made, refused)} == {'"requests";q=3;w=180'}
    assert "retry-after" not in made.headers
    retry_after_s = int(refused.headers["retry-after"])
    assert 30 < retry_after_s <= 60
    assert refused.body == {
        "code": "rate_limited",
        "message": (
            f"this account's plan allows 1 requests a minute, 3 of them at once: come back in {retry_after_s} s"
        ),
        "detail": {"requests_per_minute": 1, "burst": 3, "retry_after_s": retry_after_s},
    }
    assert (
        await deployed.database.connection.fetchval("SELECT count(*) FROM threads WHERE account_id = $1", account_id)
        == 1
    )
    # Another account, and what needs no token.
    assert http.request("POST", "/threads", {}, account_id=f"other-{account_id}").status == 200
    anonymous = http.request("GET", "/ok")
    assert anonymous.status == 200
    assert "ratelimit" not in anonymous.headers


async def test_a_function_without_redis_limits_by_itself(
    start_function: StartFunction, deployed: Deployed, account_id: str
) -> None:
    await _plan(deployed.database, account_id, per_minute=1, burst=2)
    cable = Cable(1)  # that is never plugged
    alone = HttpApi(start_function("functions.api.http.main.handler", REDIS_URL=f"redis://127.0.0.1:{cable.port}/0"))
    answers = [alone.request("POST", "/threads", {}, account_id=account_id) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["retry-after"] == "60"


FRAMES = {
    **{method: json.dumps({"id": 7, "method": method, "params": {}}) for method in sorted(COMMANDS)},
    "unknown": json.dumps({"id": 7, "method": "threads.delete"}),
    "not served": json.dumps({"id": 7, "method": "state.fork"}),
    "no method": json.dumps({"id": 7}),
    "no JSON": "{",
    "no object": "[]",
    "nothing": "",
}


@pytest.fixture(scope="module")
def websocket(start_function: StartFunction) -> FunctionProcess:
    """The WebSocket function; the sender function, which would close connections, is not there."""
    return start_function("functions.api.websocket.main.handler")


def _opened(function: FunctionProcess, account_id: str) -> tuple[WebSocketApi, Any]:
    socket = WebSocketApi(function, f"{uuid4().hex[:15]}=")
    headers = {"Authorization": f"Bearer {token(account_id)}"}
    return socket, socket.connect(headers=headers, query={"thread_id": str(uuid4())})


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_whatever_a_connection_sends_counts(
    websocket: FunctionProcess, deployed: Deployed, account_id: str, frame: str
) -> None:
    await _plan(deployed.database, account_id, per_minute=1, burst=3)
    socket, opened = _opened(websocket, account_id)
    assert opened == {"statusCode": 200}
    answers = [socket.send(frame) for _ in range(3)]
    assert ["come back in" in answer.get("message", "") for answer in answers] == [False, False, True]
    assert answers[-1]["type"] == "error"
    assert re.search(r"come back in [3-6]\d s$", answers[-1]["message"])
    assert answers[-1]["id"] == (7 if frame.startswith('{"') else None)


async def test_opening_connections_counts(websocket: FunctionProcess, deployed: Deployed, account_id: str) -> None:
    await _plan(deployed.database, account_id, per_minute=1, burst=2)
    answers = [_opened(websocket, account_id)[1] for _ in range(3)]
    assert [answer["statusCode"] for answer in answers] == [200, 200, 429]
    assert answers[-1]["headers"]["retry-after"] == "60"
    assert json.loads(answers[-1]["body"])["code"] == "rate_limited"


async def test_a_connection_that_goes_on_in_vain_is_closed_and_told_why(
    websocket: FunctionProcess, deployed: Deployed, account_id: str
) -> None:
    await _plan(deployed.database, account_id, per_minute=1, burst=1)
    socket, _ = _opened(websocket, account_id)
    messages = [socket.send({"id": 1, "method": "ping"})["message"] for _ in range(STRIKES.burst + 1)]
    assert {message.startswith("this account's plan allows") for message in messages[:-1]} == {True}
    assert messages[-1].startswith("this connection is closed: it went on although this account's plan allows")
    record = await subscriptions.get_connection(socket.connection_id)
    assert record is not None
    assert record.is_closing


async def test_while_the_plan_is_not_known_an_open_connection_may_send_a_little(
    redis: Any, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del redis

    def away() -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr(limits, "connection", away)
    own = _limiter()
    for _ in range(UNKNOWN_PLAN.burst):
        await own.admit(account_id, unknown=UNKNOWN_PLAN)
    with pytest.raises(RateLimitedError):
        await own.admit(account_id, unknown=UNKNOWN_PLAN)
