"""What PostgreSQL gives back of JSON is no longer than what it was given."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from shared.agent_config import AgentConfig
from shared.database import (
    Connection,
    assistants,
    checkpoints,
    connection,
    messages,
    threads,
    tool_executions,
    transaction,
)
from shared.database.pages import LARGEST_PAGE_BYTES
from shared.storable import jsonb
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deployed import HttpApi
from tests.integration.owned import Owned

# 5,000 of them are 30 KB in Python, and were 1.5 MB in PostgreSQL.
BOMB = {"a": [1e308, 5e-324, 10**300] * 2_000}
MOST = 2 * len(json.dumps(BOMB))

type Write = Callable[[Connection, Owned], Awaitable[Any]]


async def _thread(taken: Connection, owned: Owned) -> None:
    await threads.create(taken, thread_id=uuid4(), account_id=owned.account_id, metadata=BOMB)


async def _assistant(taken: Connection, owned: Owned) -> None:
    await assistants.create(
        taken,
        assistant_id=uuid4(),
        account_id=owned.account_id,
        name="a",
        description=None,
        config=AgentConfig(),
        metadata=BOMB,
    )


async def _message(taken: Connection, owned: Owned) -> None:
    await messages.insert(
        taken,
        message_id=uuid4(),
        thread_id=owned.thread_id,
        account_id=owned.account_id,
        run_number=1,
        type="tool",
        content=BOMB,
        metadata=BOMB,
    )


async def _replaced(taken: Connection, owned: Owned) -> None:
    await messages.replace(taken, message_id=owned.message_id, content=BOMB, metadata=BOMB)


async def _result(taken: Connection, owned: Owned) -> None:
    await tool_executions.finish(taken, assistant_message_id=owned.message_id, call_id="call-1", result=BOMB)


@pytest.mark.parametrize("write", [_thread, _assistant, _message, _replaced, _result])
async def test_whatever_is_written_is_read_in_the_same_room(database: Database, owned: Owned, write: Write) -> None:
    async with transaction() as taken:
        await write(taken, owned)
    for table in ("threads", "assistants", "messages", "tool_executions"):
        for row in await database.connection.fetch(f"SELECT to_jsonb(t)::text AS text FROM {table} t"):  # noqa: S608
            assert len(row["text"]) < 2 * MOST


async def test_text_that_postgresql_cannot_hold_is_no_error(database: Database) -> None:
    given = {"a\0": "b\ud800", "c": [float("nan"), float("-inf"), 10**5000]}
    told = json.loads(await database.connection.fetchval("SELECT $1::jsonb::text", jsonb(given)))
    assert told == {"a\ufffd": "b\ufffd", "c": ["nan", "-inf", hex(10**5000)]}


def test_a_client_cannot_store_what_it_could_not_read(start_function: StartFunction, account_id: str) -> None:
    http = HttpApi(start_function("functions.api.http.main.handler"))
    answer = http.request("POST", "/threads", {"metadata": {"a": [1e308]}}, account_id=account_id)
    assert answer.status == 422
    assert "send it as text" in answer.body["message"]


async def test_a_page_renders_no_more_than_is_answered(database: Database, owned: Owned) -> None:
    """GIVEN forty messages of 400 KB each WHEN pages of them are read THEN PostgreSQL has not rendered all of them."""
    text = "x" * 400_000
    async with transaction() as taken:
        for number in range(40):
            await messages.insert(
                taken,
                message_id=uuid4(),
                thread_id=owned.thread_id,
                account_id=owned.account_id,
                run_number=1,
                type="user",
                content={"content": f"{number}{text}"},
            )
    scope = {"thread_id": owned.thread_id, "account_id": owned.account_id}
    async with connection() as taken:
        for of in ("messages.list", "checkpoints.until"):
            assert 7 <= await _rendered(taken, of, owned) <= 10
        page = await messages.page(taken, **scope, limit=1000)
        newest = await checkpoints.until(taken, **scope, limit=1000)
        rest = await messages.page(taken, **scope, limit=1000, offset=len(page))
    # The first is the fixture's, and small.
    assert [_number(message.content) for message in page[1:]] == list(range(7))
    assert [_number(message.content) for message in newest] == list(range(33, 40))
    assert _number(rest[0].content) == 7
    async with connection() as taken:
        assert len(await messages.page(taken, **scope, limit=3)) == 3
        assert len(await checkpoints.until(taken, **scope, limit=3)) == 3


async def _rendered(taken: Connection, of: str, owned: Owned) -> int:
    """Of how many messages a statement has asked how large they are."""
    module, name = of.split(".")
    statement = {"messages": messages, "checkpoints": checkpoints}[module]._SQL[name]
    values: dict[str, tuple[Any, ...]] = {
        "list": (1000, 0, LARGEST_PAGE_BYTES),
        "until": (None, None, None, 1000, LARGEST_PAGE_BYTES),
    }
    plan = json.loads(
        await taken.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", owned.thread_id, owned.account_id, *values[name]
        )
    )
    return _rows(plan[0]["Plan"])


def _rows(node: dict[str, Any]) -> int:
    own = node["Actual Rows"] if node["Node Type"] in {"Recursive Union", "WindowAgg"} else 0
    return round(own) + sum(_rows(inner) for inner in node.get("Plans", []))


def _number(content: dict[str, Any]) -> int:
    return int(content["content"].rstrip("x"))
