"""Browsers' way onto the event stream: a ticket in the address, good for one connection."""

import asyncio
import hashlib
import uuid
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from clients.terminal.stack import Stack
from tests.e2e.conftest import LOCAL_DIR, RunningStack
from tests.e2e.following import ALL_CHANNELS, command, events_of_run, text_of
from tests.e2e.threads import new_thread, start_run


@pytest.fixture
def thread_id() -> str:
    """A thread that need not exist."""
    return str(uuid.uuid4())


async def _ticket(http: httpx.AsyncClient) -> str:
    answer = await http.post("/ws-tickets")
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 30
    return answer.json()["ticket"]


def _address(client: Stack, thread_id: str, ticket: str) -> str:
    return f"{client.websocket_url(thread_id)}?ticket={ticket}"


async def _refusal(address: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        await connect(address)
    return refused.value.response.status_code


def _table(stack: RunningStack) -> str:
    [table] = [name for name in stack.aws("dynamodb").list_tables()["TableNames"] if "Subscriptions" in name]
    return table


def _alter(stack: RunningStack, key: dict[str, Any], field: str, value: int) -> None:
    """Set a number of an item of the subscriptions' table."""
    stack.aws("dynamodb").update_item(
        TableName=_table(stack),
        Key={name: {"S": text} for name, text in key.items()},
        UpdateExpression="SET #field = :value",
        ConditionExpression="attribute_exists(#field)",
        ExpressionAttributeNames={"#field": field},
        ExpressionAttributeValues={":value": {"N": str(value)}},
    )


async def test_a_ticket_opens_one_connection_that_streams(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    ticket = await _ticket(http)
    address = _address(client, thread_id, ticket)
    async with connect(address) as socket:
        answer = await command(socket, "subscription.subscribe", {"channels": ALL_CHANNELS})
        assert answer["type"] == "success"
        await start_run(http, thread_id, "[[say by ticket]]")
        assert text_of(await events_of_run(socket)) == "by ticket"
        assert await _refusal(address) == 401
    assert await _refusal(address) == 401

    logs = sorted((LOCAL_DIR / "logs").glob("*.log"))
    assert logs
    for secret in (ticket, client.token):
        assert [log.name for log in logs if secret in log.read_text(encoding="utf-8", errors="replace")] == []


async def test_of_twenty_connections_with_one_ticket_one_is_let_in(
    http: httpx.AsyncClient, client: Stack, thread_id: str
) -> None:
    address = _address(client, thread_id, await _ticket(http))
    came = await asyncio.gather(*(connect(address, open_timeout=60) for _ in range(20)), return_exceptions=True)
    let_in = [one for one in came if isinstance(one, ClientConnection)]
    refused = [one.response.status_code for one in came if isinstance(one, InvalidStatus)]
    for socket in let_in:
        await socket.close()
    assert len(let_in) == 1
    assert refused == [401] * 19


async def test_an_expired_ticket_is_refused(
    http: httpx.AsyncClient, client: Stack, stack: RunningStack, thread_id: str
) -> None:
    ticket = await _ticket(http)
    digest = hashlib.sha256(ticket.encode()).hexdigest()
    _alter(stack, {"thread_id": f"ticket#{digest}", "connection_id": "ticket"}, "expires_at", 1)
    assert await _refusal(_address(client, thread_id, ticket)) == 401
    assert await _refusal(_address(client, thread_id, "nonsense")) == 401


async def test_after_its_credential_a_connections_commands_are_refused_under_their_ids(
    http: httpx.AsyncClient, client: Stack, stack: RunningStack, thread_id: str
) -> None:
    async with connect(_address(client, thread_id, await _ticket(http))) as socket:
        assert (await command(socket, "ping"))["type"] == "success"
        [item] = [
            item
            for page in stack.aws("dynamodb").get_paginator("scan").paginate(TableName=_table(stack))
            for item in page["Items"]
            if item.get("for_thread_id", {}).get("S") == thread_id
        ]
        key = {name: item[name]["S"] for name in ("thread_id", "connection_id")}
        _alter(stack, key, "expires_at", 1)

        answer = await command(socket, "ping")
        assert (answer["type"], answer["id"], answer["error"]) == ("error", 7, "permission_denied")
        assert "connect again" in answer["message"]
