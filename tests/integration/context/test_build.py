"""Contexts built from real threads."""

import json
from typing import Any, cast

import pytest

from shared.context.budget import budget_of
from shared.context.compression import LONGEST
from shared.context.counting import VERSION, count_tools
from shared.context.manager import ContextManager
from shared.llm import Llm, litellm
from tests.integration.context.conftest import MODEL
from tests.integration.context.growing import GrowingThread, words

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search.",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
    }
]


@pytest.fixture
def large(llm: Llm) -> ContextManager:
    """With every model's own budget."""
    return ContextManager(llm=llm)


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o"])
@pytest.mark.parametrize("system", [None, "You are helpful."])
async def test_a_context_is_the_thread_in_order_and_its_tokens_are_a_recount(
    thread: GrowingThread, large: ContextManager, model: str, system: str | None
) -> None:
    await thread.turns(3)
    claim = await thread.run([{"type": "text", "text": "Und jetzt? 你好"}])
    await thread.call_tool("found it", results=2)

    extra = count_tools(TOOLS, model=model, system=system is not None)
    built = await large.build(claim, model=model, system=system, extra_tokens=extra)

    rows = await thread.database.connection.fetch("SELECT content FROM messages ORDER BY run_number, position")
    stored = [json.loads(row["content"]) for row in rows]
    assert built.messages == [*([{"role": "system", "content": system}] if system else []), *stored]
    assert built.tokens == litellm.token_counter(model=model, messages=built.messages, tools=cast("Any", TOOLS))
    assert (built.over_budget, built.near_budget, built.left_out) == (False, False, 0)


async def test_a_message_is_counted_once_and_again_when_it_has_changed(
    thread: GrowingThread, large: ContextManager
) -> None:
    await thread.turns(3)
    claim = await thread.run("well?")
    connection = thread.database.connection

    async def counts() -> list[Any]:
        return [
            tuple(row)
            for row in await connection.fetch(
                "SELECT message_id, encoding, version, full_tokens, xmin::text FROM message_tokens ORDER BY message_id"
            )
        ]

    first = await large.build(claim, model=MODEL, system=None)
    kept = await counts()
    assert len(kept) == 7 and {row[2] for row in kept} == {VERSION}
    second = await large.build(claim, model=MODEL, system=None)
    assert (second.tokens, second.messages) == (first.tokens, first.messages)
    assert second.rows_read == first.rows_read - 7
    assert await counts() == kept

    # WHEN a message is completed after it had been counted
    await connection.execute(
        "UPDATE messages SET content = jsonb_set(content, '{content}', '\"much, much longer than before\"') "
        "WHERE message_id = $1",
        kept[0][0],
    )
    third = await large.build(claim, model=MODEL, system=None)
    assert third.tokens == litellm.token_counter(model="gpt-4", messages=third.messages)

    # Another encoding, and another version, have counts of their own.
    await large.build(claim, model="gpt-4o", system=None)
    assert {row[1] for row in await counts()} == {"cl100k", "o200k"}
    await connection.execute("UPDATE message_tokens SET version = 'older', full_tokens = 1, compressed_tokens = 1")
    assert (await large.build(claim, model=MODEL, system=None)).tokens == third.tokens


async def test_long_messages_of_earlier_runs_are_compressed_and_nothing_stored_changes(
    thread: GrowingThread, large: ContextManager
) -> None:
    await thread.run(words(5000))
    old = (await thread.call_tool(words(50_000)))[1]
    await thread.say("assistant", "done")
    claim = await thread.run(words(6000))
    new = (await thread.call_tool(words(7000)))[1]

    built = await large.build(claim, model=MODEL, system=None)

    hint = f'... (truncated)\n\nmessage_id "{old.message_id}"\nUse expand_message tool to see contents'
    assert built.messages[2]["content"] == words(LONGEST) + hint
    assert built.messages[0]["content"].startswith(words(LONGEST) + "... (truncated)")
    assert [len(message["content"] or "") for message in built.messages[4:]] == [6000, 0, 7000]
    assert built.messages[-1] == new.content
    stored = await thread.database.connection.fetchval(
        "SELECT content ->> 'content' FROM messages WHERE message_id = $1", old.message_id
    )
    assert stored == words(50_000)
    assert built.tokens == litellm.token_counter(model="gpt-4", messages=built.messages)


async def test_within_a_long_run_only_the_newest_group_stays_whole_when_it_has_to(
    thread: GrowingThread, manager: ContextManager
) -> None:
    claim = await thread.run("find all")
    for _ in range(3):
        await thread.call_tool(words(8000))
    built = await manager.build(claim, model=MODEL, system=None)
    assert not built.over_budget
    assert [len(message["content"]) > 7000 for message in built.messages if message["role"] == "tool"] == [
        False,
        False,
        True,
    ]


async def test_an_endless_thread_costs_no_more_than_its_budget(thread: GrowingThread, manager: ContextManager) -> None:
    await thread.import_messages(2000, length=400)
    claim = await thread.run("and now?")
    built = await manager.build(claim, model=MODEL, system="Be brief.")

    # It asks for a summary first; what it gives fits already.
    assert built.over_budget and built.can_summarize and built.near_budget
    assert built.tokens <= 4000
    assert built.tokens == litellm.token_counter(model="gpt-4", messages=built.messages)
    assert built.left_out == 2001 - (len(built.messages) - 1)
    assert built.messages[0]["content"].startswith("Be brief.\n\n(")
    assert str(built.left_out) in built.messages[0]["content"]
    assert built.messages[-1]["content"] == "and now?"
    assert built.messages[1]["role"] == "user"

    # Asked in vain: it goes on with what fits, and says so.
    again = await manager.build(claim, model=MODEL, system="Be brief.")
    assert (again.over_budget, again.left_out, again.messages) == (False, built.left_out, built.messages)
    assert again.rows_read < 150
    # The count of a message is stored even if it does not fit, so a build never reads a thread again.
    assert await thread.database.count("message_tokens") < 600


async def test_a_result_is_never_without_its_call_whatever_the_budget(
    thread: GrowingThread, manager: ContextManager
) -> None:
    await thread.turns(2)
    claim = await thread.run("search everything")
    await thread.call_tool(words(2900), results=12)
    built = await manager.build(claim, model=MODEL, system=None, summarize=False)
    # More than the budget, even so: the question, the call and all of its results.
    assert [message["role"] for message in built.messages] == ["system", "user", "assistant", *["tool"] * 12]
    called = [call["id"] for call in built.messages[2]["tool_calls"]]
    assert [message["tool_call_id"] for message in built.messages[3:]] == called
    assert not built.over_budget
    assert built.left_out == 4


async def test_a_context_refused_by_the_provider_is_halved_if_there_is_no_summary(
    thread: GrowingThread, manager: ContextManager
) -> None:
    await thread.turns(20)
    claim = await thread.run("and now?")
    built = await manager.build(claim, model=MODEL, system=None)
    assert (built.left_out, built.over_budget) == (0, False)
    assert await manager.overflowed(claim, built)
    halved = await manager.build(claim, model=MODEL, system=None)
    assert halved.left_out > 0 and halved.tokens <= 2000
    assert not await manager.overflowed(claim, halved)


async def test_a_run_sees_nothing_of_later_runs_and_of_other_accounts(
    thread: GrowingThread, large: ContextManager
) -> None:
    claim = await thread.run("first")
    await thread.database.connection.execute(
        """
        INSERT INTO messages (message_id, thread_id, account_id, run_number, position, type, content)
        VALUES (gen_random_uuid(), $1, $2, 2, 0, 'user', '{"role": "user", "content": "later"}')
        """,
        thread.thread_id,
        thread.account_id,
    )
    assert [m["content"] for m in (await large.build(claim, model=MODEL, system=None)).messages] == ["first"]
    await thread.database.connection.execute("INSERT INTO accounts VALUES ('stranger')")
    await thread.database.connection.execute("UPDATE messages SET account_id = 'stranger'")
    assert (await large.build(claim, model=MODEL, system=None)).messages == []


def test_the_scripted_models_budget_is_the_default() -> None:
    assert budget_of(MODEL) == 107_008
