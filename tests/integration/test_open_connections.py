"""Connections of an account: never one too many, and none counts for ever."""

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.websocket import main
from shared.aws.clients import dynamodb
from shared.errors import DatabaseUnavailableError, LimitExceededError
from shared.stream import open_connections, subscriptions
from shared.stream.subscriptions import LIFE_S, ConnectionRecord
from tests.integration.conftest import StartFunction, using
from tests.integration.databases import Database
from tests.integration.deployed import Deployed, WebSocketApi, token
from tests.integration.function_process import FunctionProcess
from tests.ports import free_port

MOST = 3


@pytest.fixture
def soon() -> int:
    """When connections that are opened now end."""
    return int(time.time()) + 600


def _record(account_id: str, expires_at: int, key_id: UUID | None = None) -> ConnectionRecord:
    return ConnectionRecord(
        connection_id=uuid4().hex,
        account_id=account_id,
        thread_id=uuid4(),
        opened_at=time.time(),
        credential_expires_at=expires_at,
        key_id=key_id,
    )


async def _add(account_id: str, expires_at: int, *, most: int | None = MOST, key_id: UUID | None = None) -> str:
    record = _record(account_id, expires_at, key_id)
    await open_connections.add(record, most=most)
    return record.connection_id


async def _items(table: str, account_id: str) -> int:
    client: Any = await dynamodb()
    answer = await client.query(
        TableName=table,
        KeyConditionExpression="thread_id = :account",
        ExpressionAttributeValues={":account": {"S": open_connections._partition(account_id)}},
        ConsistentRead=True,
    )
    return answer["Count"]


async def test_a_connection_whose_key_could_not_be_checked_is_not_counted(
    database: Database, subscriptions_table: str, account_id: str, soon: int
) -> None:
    record = _record(account_id, soon, key_id=uuid4())
    async with using(database.secret(port=free_port())):
        with pytest.raises(DatabaseUnavailableError):
            await main._open(record, most=MOST)
    assert await _items(subscriptions_table, account_id) == 0
    assert await subscriptions.get_connection(record.connection_id) is None


async def test_one_too_many_is_refused_until_another_has_ended(
    subscriptions_table: str, account_id: str, soon: int
) -> None:
    first, *_ = [await _add(account_id, soon) for _ in range(MOST)]
    for _ in range(2):
        with pytest.raises(LimitExceededError, match=f"{MOST} connections open"):
            await _add(account_id, soon)
    assert await _items(subscriptions_table, account_id) == MOST
    await _add(f"{account_id}-another", soon)

    for _ in range(2):
        await open_connections.remove(first, account_id=account_id)
    await _add(account_id, soon)
    with pytest.raises(LimitExceededError):
        await _add(account_id, soon)


async def test_of_many_at_once_there_are_never_too_many(subscriptions_table: str, account_id: str, soon: int) -> None:
    done = await asyncio.gather(*(_add(account_id, soon) for _ in range(30)), return_exceptions=True)
    let_in = [one for one in done if isinstance(one, str)]
    assert all(isinstance(one, (str, LimitExceededError)) for one in done), done
    assert len(let_in) <= MOST
    assert await _items(subscriptions_table, account_id) == len(let_in)
    for _ in range(MOST - len(let_in)):
        await _add(account_id, soon)


@pytest.mark.usefixtures("subscriptions_table")
async def test_a_connection_whose_end_nobody_reports_counts_until_it_expires(account_id: str, soon: int) -> None:
    over = time.time() - LIFE_S
    for _ in range(MOST):
        await open_connections.add(replace(_record(account_id, soon), opened_at=over), most=MOST)
    for _ in range(MOST):
        await _add(account_id, soon)
    with pytest.raises(LimitExceededError):
        await _add(account_id, soon)


@pytest.mark.usefixtures("subscriptions_table")
async def test_those_of_a_key_are_found_without_a_limit_too(account_id: str, soon: int) -> None:
    key_id = uuid4()
    others = [await _add(account_id, soon, most=None, key_id=other) for other in (None, uuid4())]
    expected = {await _add(account_id, soon, most=None, key_id=key_id) for _ in range(3)}
    await _add(f"{account_id}-another", soon, most=None, key_id=key_id)
    assert set(await open_connections.of_key(key_id, account_id=account_id)) == expected
    assert expected.isdisjoint(others)


@pytest.fixture(scope="module")
def function(start_function: StartFunction) -> FunctionProcess:
    return start_function("functions.api.websocket.main.handler")


async def test_connect_answers_429_and_disconnect_makes_room(
    function: FunctionProcess, deployed: Deployed, subscriptions_table: str, account_id: str
) -> None:
    plan = f"plan of {account_id}"
    await deployed.database.connection.execute(
        "INSERT INTO plans (plan_id, max_unfinished_runs, max_connections) VALUES ($1, 3, 2)", plan
    )
    await deployed.database.connection.execute("INSERT INTO accounts VALUES ($1, now(), $2)", account_id, plan)
    headers = {"Authorization": f"Bearer {token(account_id)}"}
    first, second, third = (WebSocketApi(function, f"{uuid4().hex[:15]}=") for _ in range(3))

    def connect(socket: WebSocketApi) -> Any:
        return socket.connect(headers=headers, query={"thread_id": str(uuid4())})

    assert [connect(socket) for socket in (first, second)] == [{"statusCode": 200}] * 2
    refused = connect(third)
    assert refused["statusCode"] == 429
    assert '"code":"limit_exceeded"' in refused["body"]
    assert '"limit":2' in refused["body"]
    answer = third.send({"id": 1, "method": "subscription.subscribe", "params": {"channels": ["messages"]}})
    assert (answer["type"], answer["error"]) == ("error", "permission_denied")
    assert await _items(subscriptions_table, account_id) == 2

    first.disconnect()
    assert connect(third) == {"statusCode": 200}
    assert connect(first)["statusCode"] == 429
