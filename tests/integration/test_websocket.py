"""The WebSocket function, asked through API Gateway's events."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.stream import subscriptions
from shared.stream.subscriptions import ConnectionRecord
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
    assert await subscriptions.get_connection(socket.connection_id) == ConnectionRecord(
        connection_id=socket.connection_id, account_id=account_id, thread_id=thread_id
    )


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


async def test_a_subscription_is_made_replaced_and_ended(
    connected: WebSocketApi, account_id: str, thread_id: UUID
) -> None:
    answer = connected.send(
        {
            "id": 1,
            "method": "subscription.subscribe",
            "params": {"channels": ["messages", "custom:notes"], "namespaces": [[]], "since": 42},
        }
    )
    [made] = await _subscriptions(thread_id, account_id)
    assert answer == {"type": "success", "id": 1, "result": {"subscription_id": made.subscription_id}}
    assert (made.connection_id, made.since, made.channels) == (connected.connection_id, 42, {"messages", "custom"})

    connected.send({"id": 2, "method": "subscription.subscribe", "params": {"channels": ["lifecycle"]}})
    [replaced] = await _subscriptions(thread_id, account_id)
    assert (replaced.since, replaced.channels) == (None, {"lifecycle"})

    ended = connected.send(
        {"id": 3, "method": "subscription.unsubscribe", "params": {"subscription_id": replaced.subscription_id}}
    )
    assert ended == {"type": "success", "id": 3, "result": {}}
    assert await _subscriptions(thread_id, account_id) == []


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
    assert (answer["type"], answer["error"], answer["message"]) == ("error", "permission_denied", "connect again")


async def test_a_disconnect_forgets_the_connection_and_may_come_twice(
    connected: WebSocketApi, account_id: str, thread_id: UUID
) -> None:
    connected.send({"id": 1, "method": "subscription.subscribe", "params": {"channels": ["messages"]}})
    for _ in range(2):
        assert connected.disconnect() == {"statusCode": 200}
        assert await subscriptions.get_connection(connected.connection_id) is None
        assert await _subscriptions(thread_id, account_id) == []
