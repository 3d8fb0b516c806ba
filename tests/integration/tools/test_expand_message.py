"""``expand_message`` reads messages of its own thread, and of no other."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.runner.tools import ToolContext, ToolResult, invoke
from functions.runner.tools.builtin.expand_message import ExpandMessage
from shared.database import messages, transaction
from tests.integration.databases import Database

[EXPAND] = ExpandMessage().functions()


async def written(thread_id: UUID, account_id: str, content: dict[str, Any]) -> UUID:
    async with transaction() as connection:
        message = await messages.insert(
            connection,
            message_id=uuid4(),
            thread_id=thread_id,
            account_id=account_id,
            run_number=1,
            type="user",
            content=content,
        )
    return message.message_id


async def expand(message_id: object, context: ToolContext) -> ToolResult:
    return await invoke(EXPAND, {"message_id": str(message_id)}, context)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"role": "user", "content": "ü" * 50_000}, "ü" * 50_000),
        (
            {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {}}]},
            "see\n[image_url]",
        ),
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, '[{"id": "1"}]'),
    ],
)
async def test_the_full_text_comes_back(
    content: dict[str, Any], text: str, database: Database, account_id: str, context: ToolContext
) -> None:
    thread_id = await database.new_thread(account_id)
    message_id = await written(thread_id, account_id, content)
    mine = replace(context, thread_id=thread_id, account_id=account_id)
    assert await expand(message_id, mine) == ToolResult(True, text)


async def test_messages_of_others_are_not_there(database: Database, account_id: str, context: ToolContext) -> None:
    thread_id, other_thread = await database.new_thread(account_id), await database.new_thread(account_id)
    message_id = await written(thread_id, account_id, {"role": "user", "content": "secret"})
    mine = replace(context, thread_id=thread_id, account_id=account_id)
    assert (await expand(message_id, mine)).success
    for theirs in (replace(mine, thread_id=other_thread), replace(mine, account_id="another")):
        result = await expand(message_id, theirs)
        assert not result.success
        assert "There is no message" in result.text()


async def test_what_is_no_id_is_told(context: ToolContext) -> None:
    result = await expand("the last one", context)
    assert not result.success
    assert "'message_id': Input should be a valid UUID" in result.text()
