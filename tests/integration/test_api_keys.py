"""API keys on real PostgreSQL, over HTTP and WebSocket events."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from functions.api import tickets
from functions.api.auth import NEVER_S
from functions.api.keys import ApiKeys, digest, new_secret
from shared.database import api_keys, connection
from shared.domain import SCOPES
from shared.errors import UnauthenticatedError
from shared.stream import subscriptions
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deployed import Answer, Deployed, HttpApi, WebSocketApi
from tests.integration.function_process import FunctionProcess

RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}


@pytest.fixture(scope="module")
def http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function("functions.api.http.main.handler"))


@pytest.fixture(scope="module")
def websocket(start_function: StartFunction) -> FunctionProcess:
    return start_function("functions.api.websocket.main.handler")


def _made(http: HttpApi, account_id: str, **body: Any) -> dict[str, Any]:
    answer = http.request("POST", "/api-keys", {"name": "laptop"} | body, account_id=account_id)
    assert answer.status == 201, answer.body
    return answer.body


def _by_key(http: HttpApi, secret: str, method: str, path: str, body: object = None) -> Answer:
    return http.request(method, path, body, headers={"x-api-key": secret})


async def _insert(database: Database, account_id: str, **columns: Any) -> tuple[str, UUID]:
    """A key of the account, older or other than the API would make it."""
    secret, key_id = new_secret(), uuid4()
    await database.connection.execute("INSERT INTO accounts VALUES ($1) ON CONFLICT DO NOTHING", account_id)
    fields = {"expires_at": None, "revoked_at": None, "last_used_at": None, "scopes": ["read", "write"]} | columns
    await database.connection.execute(
        "INSERT INTO api_keys (key_id, account_id, sha256, name, scopes, expires_at, revoked_at, last_used_at)"
        " VALUES ($1, $2, $3, 'laptop', $4, $5, $6, $7)",
        *(key_id, account_id, digest(secret), fields["scopes"]),
        *(fields["expires_at"], fields["revoked_at"], fields["last_used_at"]),
    )
    return secret, key_id


async def _last_used(database: Database, key_id: UUID) -> datetime | None:
    return await database.connection.fetchval("SELECT last_used_at FROM api_keys WHERE key_id = $1", key_id)


def test_a_key_is_made_shown_once_listed_and_revoked(http: HttpApi, account_id: str) -> None:
    made = _made(http, account_id, scopes=["read"], expires_at="2100-01-01T00:00:00+02:00")
    secret = made.pop("secret")
    assert len(secret) == 51
    assert (made["name"], made["scopes"], made["expires_at"]) == ("laptop", ["read"], "2099-12-31T22:00:00Z")
    assert (made["revoked_at"], made["last_used_at"]) == (None, None)
    other = _made(http, account_id)
    assert (other["scopes"], other["expires_at"]) == (["read", "write"], None)

    listed = http.request("GET", "/api-keys", account_id=account_id)
    assert [key["key_id"] for key in listed.body] == [other["key_id"], made["key_id"]]
    assert listed.body[1] == made
    assert "sk_suna_" not in json.dumps(listed.body)
    assert len(http.request("GET", "/api-keys", account_id=account_id, query="limit=1&offset=1").body) == 1

    for _ in range(2):
        assert http.request("DELETE", f"/api-keys/{made['key_id']}", account_id=account_id).status == 204
    revoked = http.request("GET", "/api-keys", account_id=account_id).body[1]["revoked_at"]
    assert revoked is not None
    refused = _by_key(http, secret, "GET", f"/threads/{uuid4()}")
    assert (refused.status, refused.body["message"]) == (401, "the API key has been revoked")


async def test_only_the_hash_of_a_secret_is_kept(http: HttpApi, deployed: Deployed, account_id: str) -> None:
    secret = _made(http, account_id)["secret"]
    row = await deployed.database.connection.fetchrow("SELECT * FROM api_keys WHERE account_id = $1", account_id)
    assert row is not None
    assert row["sha256"] == digest(secret)
    assert secret.removeprefix("sk_suna_") not in repr(dict(row))


def test_anothers_keys_are_not_there(http: HttpApi, account_id: str) -> None:
    made = _made(http, account_id)
    stranger = f"other-{account_id}"
    assert http.request("GET", "/api-keys", account_id=stranger).body == []
    refused = http.request("DELETE", f"/api-keys/{made['key_id']}", account_id=stranger)
    assert (refused.status, refused.body["code"]) == (404, "not_found")
    assert _by_key(http, made["secret"], "POST", "/threads", {}).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["admin"]}, "scopes"),
        ({"name": "x", "scopes": ["read", "write", "read"]}, "scopes"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2100-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
    ],
)
def test_a_key_that_is_not_valid_is_refused_by_its_field(
    http: HttpApi, account_id: str, body: dict[str, Any], field: str
) -> None:
    answer = http.request("POST", "/api-keys", body, account_id=account_id)
    assert answer.status == 422
    assert answer.body["message"].startswith(f"body.{field}")


def test_an_idempotency_key_is_refused_since_the_answer_cannot_be_given_again(http: HttpApi, account_id: str) -> None:
    answer = http.request(
        "POST", "/api-keys", {"name": "x"}, account_id=account_id, headers={"idempotency-key": "once"}
    )
    assert (answer.status, answer.body["code"]) == (422, "invalid_argument")
    assert http.request("GET", "/api-keys", account_id=account_id).body == []


def test_a_key_stands_for_its_account(http: HttpApi, account_id: str) -> None:
    secret = _made(http, account_id)["secret"]
    thread_id = _by_key(http, secret, "POST", "/threads", {}).body["thread_id"]
    assert http.request("GET", f"/threads/{thread_id}", account_id=account_id).status == 200
    run = _by_key(http, secret, "POST", f"/threads/{thread_id}/runs", RUN)
    assert run.status == 200
    assert _by_key(http, secret, "GET", f"/threads/{thread_id}/runs/{run.body['run_id']}").status == 200
    assert http.request("GET", f"/threads/{thread_id}", account_id=f"other-{account_id}").status == 404


def test_a_token_goes_before_a_key(http: HttpApi, account_id: str) -> None:
    secret = _made(http, f"other-{account_id}", scopes=["read"])["secret"]
    made = http.request("POST", "/threads", {}, account_id=account_id, headers={"x-api-key": secret})
    assert made.status == 200
    assert http.request("GET", f"/threads/{made.body['thread_id']}", account_id=account_id).status == 200
    bad = http.request("GET", f"/threads/{uuid4()}", headers={"x-api-key": secret, "authorization": "Bearer nonsense"})
    assert bad.status == 401


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_key_cannot_manage_keys(http: HttpApi, account_id: str, method: str) -> None:
    made = _made(http, account_id)
    path = "/api-keys" if method != "DELETE" else f"/api-keys/{made['key_id']}"
    answer = _by_key(http, made["secret"], method, path, {"name": "another"} if method == "POST" else None)
    assert (answer.status, answer.body["code"]) == (403, "forbidden")
    assert "with a token" in answer.body["message"]
    [left] = http.request("GET", "/api-keys", account_id=account_id).body
    assert left["revoked_at"] is None


READS = [
    ("GET", "/threads/{thread}", None),
    ("GET", "/threads/{thread}/state", None),
    ("GET", "/threads/{thread}/messages", None),
    ("GET", "/threads/{thread}/runs", None),
    ("GET", "/assistants/agent", None),
    ("GET", "/threads/{thread}/history", None),
    ("POST", "/threads/{thread}/history", {}),
    ("POST", "/threads/search", {}),
    ("POST", "/threads/count", {}),
    ("POST", "/assistants/count", {}),
    ("POST", "/assistants/search", {}),
    ("POST", "/ws-tickets", None),
    ("POST", "/threads/{thread}/commands", {"id": 1, "method": "ping"}),
]
WRITES = [
    ("POST", "/threads", {}),
    ("PATCH", "/threads/{thread}", {"metadata": {"a": 1}}),
    ("DELETE", "/threads/{thread}", None),
    ("POST", "/threads/{thread}/messages", {"role": "user", "content": "hello"}),
    ("POST", "/threads/{thread}/runs", RUN),
    ("POST", "/threads/{thread}/runs/stream", RUN),
    ("POST", "/threads/{thread}/runs/wait", RUN),
    ("POST", "/threads/{thread}/state", {"values": {"messages": []}}),
    ("POST", "/threads/{thread}/runs/{run}/cancel", None),
    ("DELETE", "/threads/{thread}/runs/{run}", None),
    ("POST", "/runs/cancel", {"status": "all"}),
    ("POST", "/assistants", {"graph_id": "agent"}),
]


def test_a_key_that_may_read_changes_nothing(http: HttpApi, account_id: str) -> None:
    secret = _made(http, account_id, scopes=["read"])["secret"]
    thread = http.request("POST", "/threads", {}, account_id=account_id).body["thread_id"]
    for method, path, body in READS:
        assert _by_key(http, secret, method, path.format(thread=thread), body).status == 200, path
    for method, path, body in WRITES:
        answer = _by_key(http, secret, method, path.format(thread=thread, run=uuid4()), body)
        assert (answer.status, answer.body["code"]) == (403, "forbidden"), path
        assert answer.body["message"] == "this API key may read: this needs one that may write"
    start = {"id": 1, "method": "run.start", "params": RUN}
    refused = _by_key(http, secret, "POST", f"/threads/{thread}/commands", start)
    assert (refused.body["type"], refused.body["error"]) == ("error", "permission_denied")
    respond = {"id": 2, "method": "input.respond", "params": {}}
    assert _by_key(http, secret, "POST", f"/threads/{thread}/commands", respond).body["error"] == "permission_denied"
    assert http.request("GET", f"/threads/{thread}/runs", account_id=account_id).body == []


def test_a_key_that_may_write_reads_nothing(http: HttpApi, account_id: str) -> None:
    secret = _made(http, account_id, scopes=["write"])["secret"]
    made = _by_key(http, secret, "POST", "/threads", {})
    assert made.status == 200
    for method, path, body in READS[:-1]:
        answer = _by_key(http, secret, method, path.format(thread=made.body["thread_id"]), body)
        assert answer.status == 403, path


@pytest.mark.parametrize("secret", ["", "nonsense", new_secret()], ids=["empty", "nonsense", "unknown"])
def test_nobody_gets_in_with_a_key_that_is_none(http: HttpApi, secret: str) -> None:
    answer = _by_key(http, secret, "GET", f"/threads/{uuid4()}")
    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_expired_key_lets_nobody_in(http: HttpApi, deployed: Deployed, account_id: str) -> None:
    secret, _ = await _insert(deployed.database, account_id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = _by_key(http, secret, "GET", f"/threads/{uuid4()}")
    assert (answer.status, answer.body["message"]) == (401, "the API key has expired")


async def test_a_revoked_key_is_good_for_30_seconds_at_most(database: Database, account_id: str) -> None:
    now = 0.0
    keys = ApiKeys(clock=lambda: now)
    secret, key_id = await _insert(database, account_id)
    assert (await keys.of_secret(secret)).key_id == key_id
    await keys.check(key_id, account_id=account_id)
    async with connection() as taken:
        await api_keys.revoke(taken, key_id=key_id, account_id=account_id)
    now = 29.0
    await keys.of_secret(secret)
    now = 30.0
    with pytest.raises(UnauthenticatedError, match="revoked"):
        await keys.of_secret(secret)
    with pytest.raises(UnauthenticatedError, match="revoked"):
        await keys.check(key_id, account_id=account_id)


async def test_a_key_that_is_gone_with_its_account_lets_nobody_in(database: Database, account_id: str) -> None:
    secret, key_id = await _insert(database, account_id)
    await database.connection.execute("DELETE FROM accounts WHERE account_id = $1", account_id)
    keys = ApiKeys()
    with pytest.raises(UnauthenticatedError):
        await keys.of_secret(secret)
    with pytest.raises(UnauthenticatedError):
        await keys.check(key_id, account_id=account_id)


async def test_its_last_use_is_noted_once_a_minute(database: Database, account_id: str) -> None:
    secret, key_id = await _insert(database, account_id)
    # Look-ups of processes that know nothing of each other.
    await asyncio.gather(*(ApiKeys().of_secret(secret) for _ in range(10)))
    first = await _last_used(database, key_id)
    assert first is not None
    await ApiKeys().of_secret(secret)
    assert await _last_used(database, key_id) == first
    await database.connection.execute("UPDATE api_keys SET last_used_at = now() - interval '61 s'")
    await ApiKeys().of_secret(secret)
    again = await _last_used(database, key_id)
    assert again is not None
    assert again >= first


async def test_the_use_of_a_revoked_key_is_not_noted(database: Database, account_id: str) -> None:
    secret, key_id = await _insert(database, account_id, revoked_at=datetime.now(UTC))
    with pytest.raises(UnauthenticatedError):
        await ApiKeys().of_secret(secret)
    assert await _last_used(database, key_id) is None


@pytest.mark.parametrize("scopes", [[], ["admin"], ["read", "admin"]])
async def test_the_table_takes_no_other_scopes(database: Database, account_id: str, scopes: list[str]) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await _insert(database, account_id, scopes=scopes)


def _socket(websocket: FunctionProcess) -> WebSocketApi:
    return WebSocketApi(websocket, f"{uuid4().hex[:15]}=")


async def test_a_connection_ends_with_the_key_it_was_opened_with(
    websocket: FunctionProcess, deployed: Deployed, account_id: str
) -> None:
    query = {"thread_id": str(uuid4())}
    expires_at = datetime.now(UTC) + timedelta(minutes=10)
    secret, key_id = await _insert(deployed.database, account_id, expires_at=expires_at, scopes=["read"])
    socket = _socket(websocket)
    assert socket.connect(headers={"X-API-Key": secret}, query=query) == {"statusCode": 200}
    record = await subscriptions.get_connection(socket.connection_id)
    assert record is not None
    assert (record.account_id, record.scopes, record.key_id) == (account_id, {"read"}, key_id)
    assert record.credential_expires_at == pytest.approx(expires_at.timestamp(), abs=0.001)
    subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["messages"]}}
    assert socket.send(subscribe)["type"] == "success"
    [watching] = await subscriptions.of_thread(UUID(query["thread_id"]), account_id=account_id)
    assert watching.expires_at == int(expires_at.timestamp())

    # A key for ever: as long as a connection lasts.
    secret, _ = await _insert(deployed.database, account_id)
    socket = _socket(websocket)
    assert socket.connect(headers={"x-api-key": secret}, query=query) == {"statusCode": 200}
    assert socket.send(subscribe)["type"] == "success"
    record = await subscriptions.get_connection(socket.connection_id)
    assert record is not None
    watching = await subscriptions.get(record)
    assert watching is not None
    assert watching.expires_at == pytest.approx(time.time() + subscriptions.LIFE_S, abs=60)


async def test_a_key_that_is_none_opens_no_connection(
    websocket: FunctionProcess, deployed: Deployed, account_id: str
) -> None:
    revoked, _ = await _insert(deployed.database, account_id, revoked_at=datetime.now(UTC))
    for secret in ("nonsense", new_secret(), revoked):
        socket = _socket(websocket)
        answer = socket.connect(headers={"x-api-key": secret}, query={"thread_id": str(uuid4())})
        assert answer["statusCode"] == 401
        assert await subscriptions.get_connection(socket.connection_id) is None


async def test_commands_need_what_the_key_may_and_that_it_is_good_still(
    websocket: FunctionProcess, deployed: Deployed, account_id: str
) -> None:
    reading, _ = await _insert(deployed.database, account_id, scopes=["read"])
    writing, _ = await _insert(deployed.database, account_id, scopes=["write"])
    start = {"id": 1, "method": "run.start", "params": RUN}
    subscribe = {"id": 2, "method": "subscription.subscribe", "params": {"channels": ["messages"]}}
    for secret, allowed, denied in ((reading, subscribe, start), (writing, start, subscribe)):
        socket = _socket(websocket)
        socket.connect(headers={"x-api-key": secret}, query={"thread_id": str(uuid4())})
        assert socket.send(allowed)["type"] == "success"
        answer = socket.send(denied)
        assert (answer["type"], answer["error"]) == ("error", "permission_denied")
        assert answer["message"].startswith("this API key may ")

    # Opened while the key was good, and the first command comes when it is good no more.
    secret, key_id = await _insert(deployed.database, account_id)
    socket = _socket(websocket)
    socket.connect(headers={"x-api-key": secret}, query={"thread_id": str(uuid4())})
    await deployed.database.connection.execute("UPDATE api_keys SET revoked_at = now() WHERE key_id = $1", key_id)
    answer = socket.send(start)
    assert (answer["error"], answer["message"]) == ("permission_denied", "the API key has been revoked")


async def test_a_ticket_allows_what_its_key_does(
    http: HttpApi, websocket: FunctionProcess, account_id: str, subscriptions_table: str
) -> None:
    del subscriptions_table
    made = _made(http, account_id, scopes=["read"])
    ticket = _by_key(http, made["secret"], "POST", "/ws-tickets").body["ticket"]
    socket = _socket(websocket)
    assert socket.connect(headers={}, query={"thread_id": str(uuid4()), "ticket": ticket}) == {"statusCode": 200}
    record = await subscriptions.get_connection(socket.connection_id)
    assert record is not None
    assert (record.scopes, str(record.key_id), record.credential_expires_at) == ({"read"}, made["key_id"], NEVER_S)
    answer = socket.send({"id": 1, "method": "run.start", "params": RUN})
    assert answer["error"] == "permission_denied"

    token_ticket = http.request("POST", "/ws-tickets", account_id=account_id).body["ticket"]
    caller = await tickets.redeem(token_ticket)
    assert (caller.scopes, caller.key_id) == (SCOPES, None)


async def test_keys_do_not_appear_in_logs(
    http: HttpApi, websocket: FunctionProcess, deployed: Deployed, account_id: str
) -> None:
    made = _made(http, account_id)["secret"]
    expired, _ = await _insert(deployed.database, account_id, expires_at=datetime.now(UTC) - timedelta(days=1))
    unknown = new_secret()
    for secret in (made, expired, unknown):
        _by_key(http, secret, "POST", "/threads", {})
        _by_key(http, secret, "POST", "/threads", {"metadata": 7})
        _socket(websocket).connect(headers={"x-api-key": secret}, query={"thread_id": str(uuid4())})
    for function in (http.function, websocket):
        logged = function._log.read_text()
        assert "sk_suna_" not in logged
        assert not [secret for secret in (made, expired, unknown) if secret.removeprefix("sk_suna_") in logged]
    assert len(http.function.log_lines()) > 6
