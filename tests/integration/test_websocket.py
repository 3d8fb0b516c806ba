"""The WebSocket function, asked through API Gateway's events."""

import asyncio
import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api import tickets
from functions.api.auth import Principal
from shared.errors import UnauthenticatedError
from shared.stream import subscriptions
from tests.integration.conftest import StartFunction
from tests.integration.deployed import Deployed, WebSocketApi, token
from tests.integration.function_process import FunctionProcess

RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}


@pytest.fixture(scope="module")
def function(start_function: StartFunction) -> FunctionProcess:
    return start_function("functions.api.websocket.main.handler")


@pytest.fixture
def thread_id() -> UUID:
    return uuid4()


@pytest.fixture
def socket(function: FunctionProcess) -> WebSocketApi:
    """A connection that is not open yet."""
    return WebSocketApi(function, f"{uuid4().hex[:15]}=")


@pytest.fixture
def connected(socket: WebSocketApi, account_id: str, thread_id: UUID) -> WebSocketApi:
    """An open connection."""
    answer = socket.connect(
        headers={"Authorization": f"Bearer {token(account_id)}"}, query={"thread_id": str(thread_id)}
    )
    assert answer == {"statusCode": 200}
    return socket


async def _subscriptions(thread_id: UUID, account_id: str) -> list[Any]:
    return list(await subscriptions.of_thread(thread_id, account_id=account_id))


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_a_connection_is_let_in_before_its_thread_exists(
    socket: WebSocketApi, account_id: str, thread_id: UUID, name: str
) -> None:
    answer = socket.connect(headers={name: f"Bearer {token(account_id)}"}, query={"thread_id": str(thread_id)})
    assert answer == {"statusCode": 200}
    record = await subscriptions.get_connection(socket.connection_id)
    assert record is not None
    assert (record.account_id, record.thread_id, record.begins_after) == (account_id, thread_id, 0)
    assert record.credential_expires_at == pytest.approx(time.time() + 600, abs=60)


def test_a_handshake_is_logged_with_its_address_and_without_its_ticket(
    function: FunctionProcess, connected: WebSocketApi
) -> None:
    # The event's query names a ticket, as a browser's does.
    [line] = [line for line in function.log_lines() if line.get("connection_id") == connected.connection_id]
    assert (line["message"], line["client_ip"]) == ("connected", "203.0.113.7")
    assert json.loads(line["query_params"]) == {"***": "***", "ticket": "***"}


@pytest.mark.parametrize(
    ("headers", "query", "status", "code"),
    [
        ({}, {"thread_id": str(uuid4())}, 401, "unauthenticated"),
        ({"Authorization": "Bearer nonsense"}, {"thread_id": str(uuid4())}, 401, "unauthenticated"),
        ({"Authorization": f"Bearer {token('x', exp=1)}"}, {"thread_id": str(uuid4())}, 401, "unauthenticated"),
        ({"Authorization": f"Bearer {token('x')}"}, None, 422, "invalid_argument"),
        ({"Authorization": f"Bearer {token('x')}"}, {"thread": "x"}, 422, "invalid_argument"),
        ({"Authorization": f"Bearer {token('x')}"}, {"thread_id": "x"}, 422, "invalid_argument"),
        ({"Authorization": f"Bearer {token('x')}"}, {"thread_id": ""}, 422, "invalid_argument"),
    ],
    ids=["no token", "nonsense", "expired", "no query", "no thread", "no UUID", "empty"],
)
async def test_a_connection_is_refused(
    socket: WebSocketApi, headers: dict[str, str], query: dict[str, str] | None, status: int, code: str
) -> None:
    answer = socket.connect(headers=headers, query=query)
    assert answer["statusCode"] == status
    assert f'"code":"{code}"' in answer["body"]
    assert await subscriptions.get_connection(socket.connection_id) is None


async def test_subscriptions_are_made_and_ended(connected: WebSocketApi, account_id: str, thread_id: UUID) -> None:
    params = {"channels": ["messages", "custom:notes"], "namespaces": [["a"]], "depth": 2, "since": 0}
    first = connected.send({"id": 1, "method": "subscription.subscribe", "params": params})
    second = connected.send({"id": 2, "method": "subscription.subscribe", "params": {"channels": ["lifecycle"]}})
    assert [answer["type"] for answer in (first, second)] == ["success", "success"]

    [made] = await _subscriptions(thread_id, account_id)
    assert made.connection_id == connected.connection_id
    assert [(one.subscription_id, one.channels, one.namespaces, one.depth) for one in made.filters] == [
        (first["result"]["subscription_id"], {"messages", "custom:notes"}, (("a",),), 2),
        (second["result"]["subscription_id"], {"lifecycle"}, None, None),
    ]
    for number, answer in enumerate((first, second)):
        ended = connected.send({"id": 3, "method": "subscription.unsubscribe", "params": answer["result"]})
        assert ended == {"type": "success", "id": 3, "result": {}}
        left = await _subscriptions(thread_id, account_id)
        assert [len(found.filters) for found in left] == [1 - number][: 1 - number]


def test_a_number_that_no_event_has_yet_is_refused(connected: WebSocketApi) -> None:
    params = {"channels": ["messages"], "since": 42}
    answer = connected.send({"id": 1, "method": "subscription.subscribe", "params": params})
    assert (answer["type"], answer["error"]) == ("error", "invalid_argument")
    assert answer["message"] == "since: 42 is in the future; the newest event is 0"


@pytest.mark.parametrize(("is_running", "begins_after"), [(False, 30), (True, 20)])
async def test_a_connection_begins_with_the_run_that_is_executed(
    socket: WebSocketApi, deployed: Deployed, account_id: str, is_running: bool, begins_after: int
) -> None:
    database = deployed.database
    thread_id = await database.new_thread(account_id)
    await database.connection.execute("UPDATE threads SET last_seq = 30, reserved_seq = 30")
    status = "running" if is_running else "completed"
    await database.new_run(thread_id, status=f"'{status}'", begins_after="20")
    socket.connect(headers={"Authorization": f"Bearer {token(account_id)}"}, query={"thread_id": str(thread_id)})
    socket.send({"id": 1, "method": "subscription.subscribe", "params": {"channels": ["messages"]}})
    [made] = await _subscriptions(thread_id, account_id)
    assert made.cursor == begins_after


async def _ticket(account_id: str, *, expires_at: float = 2**32) -> str:
    return await tickets.issue(Principal(account_id=account_id, expires_at=expires_at))


async def test_a_ticket_lets_one_connection_in(function: FunctionProcess, account_id: str, thread_id: UUID) -> None:
    query = {"thread_id": str(thread_id), "ticket": await _ticket(account_id)}
    sockets = [WebSocketApi(function, f"{uuid4().hex[:15]}=") for _ in range(3)]
    statuses = [socket.connect(headers={}, query=query)["statusCode"] for socket in sockets]
    assert statuses == [200, 401, 401]
    record = await subscriptions.get_connection(sockets[0].connection_id)
    assert record is not None
    assert (record.account_id, record.credential_expires_at) == (account_id, 2**32)


async def test_of_many_who_use_a_ticket_at_once_one_gets_in(account_id: str, subscriptions_table: str) -> None:
    del subscriptions_table
    ticket = await _ticket(account_id)
    taken = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(20)), return_exceptions=True)
    assert [who.account_id for who in taken if isinstance(who, Principal)] == [account_id]
    assert sum(isinstance(one, UnauthenticatedError) for one in taken) == 19


async def test_a_ticket_is_good_for_30_seconds(
    socket: WebSocketApi, account_id: str, thread_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "LIFE_S", -1)
    answer = socket.connect(headers={}, query={"thread_id": str(thread_id), "ticket": await _ticket(account_id)})
    assert answer["statusCode"] == 401
    assert "get a new one from POST /ws-tickets" in answer["body"]


async def test_a_header_goes_before_a_ticket(socket: WebSocketApi, account_id: str, thread_id: UUID) -> None:
    ticket = await _ticket("somebody else")
    answer = socket.connect(
        headers={"Authorization": f"Bearer {token(account_id)}"}, query={"thread_id": str(thread_id), "ticket": ticket}
    )
    assert answer["statusCode"] == 200
    assert (await tickets.redeem(ticket)).account_id == "somebody else"


async def test_a_connection_ends_with_its_credential(socket: WebSocketApi, account_id: str, thread_id: UUID) -> None:
    ticket = await _ticket(account_id, expires_at=time.time() - 1)
    assert socket.connect(headers={}, query={"thread_id": str(thread_id), "ticket": ticket}) == {"statusCode": 200}
    answer = socket.send({"id": 1, "method": "ping"})
    assert (answer["type"], answer["id"], answer["error"]) == ("error", 1, "permission_denied")
    assert "has expired" in answer["message"]


async def test_a_run_is_started_on_the_connections_thread(
    connected: WebSocketApi, deployed: Deployed, account_id: str, thread_id: UUID
) -> None:
    answer = connected.send({"id": 7, "method": "run.start", "params": RUN})
    assert (answer["type"], answer["id"]) == ("success", 7)
    row = await deployed.database.run(UUID(answer["result"]["run_id"]))
    assert (row["thread_id"], row["account_id"], row["status"]) == (thread_id, account_id, "queued")


async def test_a_run_on_somebody_elses_thread_is_an_error_frame(connected: WebSocketApi, deployed: Deployed) -> None:
    # GIVEN a connection that named a thread before somebody else made it
    record = await subscriptions.get_connection(connected.connection_id)
    assert record is not None
    await deployed.database.connection.execute("INSERT INTO accounts VALUES ('its owner') ON CONFLICT DO NOTHING")
    await deployed.database.connection.execute(
        "INSERT INTO threads (thread_id, account_id) VALUES ($1, 'its owner')", record.thread_id
    )
    answer = connected.send({"id": 8, "method": "run.start", "params": RUN})
    assert (answer["type"], answer["id"], answer["error"]) == ("error", 8, "invalid_argument")
    assert await deployed.database.count("threads") > 0
    runs = await deployed.database.connection.fetchval(
        "SELECT count(*) FROM agent_runs WHERE thread_id = $1", record.thread_id
    )
    assert runs == 0


@pytest.mark.parametrize("body", ["", "hello", "{", "[]", '{"id": 1}', '{"id": 1, "method": "x"}'])
async def test_a_wrong_command_is_an_error_frame_and_the_connection_stays(connected: WebSocketApi, body: str) -> None:
    assert connected.send(body)["type"] == "error"
    assert connected.send({"id": 2, "method": "ping"}) == {"type": "success", "id": 2, "result": {}}
    assert await subscriptions.get_connection(connected.connection_id) is not None


def test_a_message_of_an_unknown_connection_is_told_to_connect_again(socket: WebSocketApi) -> None:
    answer = socket.send({"id": 1, "method": "ping"})
    assert (answer["type"], answer["error"]) == ("error", "permission_denied")
    assert "connect again" in answer["message"]


async def test_a_disconnect_forgets_the_connection_and_may_come_twice(
    connected: WebSocketApi, account_id: str, thread_id: UUID
) -> None:
    connected.send({"id": 1, "method": "subscription.subscribe", "params": {"channels": ["messages"]}})
    for _ in range(2):
        assert connected.disconnect() == {"statusCode": 200}
        assert await subscriptions.get_connection(connected.connection_id) is None
        assert await _subscriptions(thread_id, account_id) == []
