"""Rolling summaries, by a model that answers only from what it is given."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from shared.context import summaries as summaries_module
from shared.context.counting import count_message
from shared.context.manager import ContextManager
from shared.context.summaries import SummaryFailedError
from shared.context.summary_text import text_of
from shared.database import budgets, transaction
from shared.database.context import EndedRun, Scope
from shared.domain import Claim
from shared.errors import LeaseLostError
from shared.llm import Completion, Llm
from shared.runs import transitions
from tests.integration.context.conftest import MODEL
from tests.integration.context.growing import GrowingThread, spoken, words
from tests.integration.context.model_server import ModelServer

BUDGET = 4000


async def test_a_conversation_summarised_three_times_knows_a_fact_of_its_first_message(
    thread: GrowingThread, manager: ContextManager, llm: Llm, model: ModelServer
) -> None:
    await thread.run("[[remember colour blue]] That is my favourite one.")
    await thread.say("assistant", "Noted.")
    for _ in range(3):
        await thread.turns(36)
        claim = await thread.run("go on")
        assert (await manager.build(claim, model=MODEL, system=None)).over_budget
        assert await manager.check_and_summarize_if_needed(claim, model=MODEL)
        built = await manager.build(claim, model=MODEL, system=None)
        assert (built.over_budget, built.left_out) == (False, 0)
        await thread.say("assistant", "I do.")

    rows = await thread.summaries()
    assert [row["follows_summary_id"] for row in rows] == [None, rows[0]["message_id"], rows[1]["message_id"]]
    claim = await thread.run("[[recall colour]]")
    built = await manager.build(claim, model=MODEL, system=None)
    assert not any("remember" in said for said in spoken(built.messages))
    assert (await llm.complete(model=MODEL, messages=built.messages)).text == "colour = blue"


async def test_a_summary_stands_for_what_it_covers_and_the_recent_tail_is_verbatim(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    await thread.turns(40)
    claim = await thread.run("go on")
    before = await manager.build(claim, model=MODEL, system=None, summarize=False)
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL)

    (row,) = await thread.summaries()
    metadata = json.loads(row["metadata"])
    assert metadata["token_count"] > BUDGET >= before.tokens
    assert metadata["covers_up_to"] == {
        "run_number": row["covers_run_number"],
        "position": row["covers_position"],
        "message_id": metadata["covers_up_to"]["message_id"],
    }
    content = json.loads(row["content"])
    assert metadata["summary_tokens"] == count_message(content, "cl100k") <= BUDGET // 8
    assert content["content"].startswith("======== CONVERSATION HISTORY SUMMARY ========\n\n")
    assert row["is_llm_message"]

    after = await manager.build(claim, model=MODEL, system=None)
    assert after.messages[0] == content
    tail = len(after.messages) - 1
    assert tail == 81 - metadata["messages"]
    assert after.messages[1:] == before.messages[-tail:]
    assert after.messages[-1]["content"] == "go on"


@pytest.mark.parametrize(("count", "summarised"), [(1, False), (2, False), (3, True), (5, True)])
async def test_fewer_than_three_messages_are_not_summarised_even_by_force(
    thread: GrowingThread, manager: ContextManager, model: ModelServer, count: int, summarised: bool
) -> None:
    claim = await thread.run("one")
    for place in range(1, count):
        await thread.say("user" if place % 2 == 0 else "assistant", words(40))
    assert not await manager.check_and_summarize_if_needed(claim, model=MODEL)
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True) is summarised
    assert len(await thread.summaries()) == summarised


async def test_call_and_result_stay_together_wherever_the_summary_ends(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    claim = await thread.run("search")
    for _ in range(12):
        await thread.call_tool(words(700), results=3)
        await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
        built = await manager.build(claim, model=MODEL, system=None, summarize=False)
        open_calls: set[str] = set()
        for message in built.messages:
            if message["role"] == "tool":
                open_calls.remove(message["tool_call_id"])
                continue
            assert not open_calls
            open_calls = {call["id"] for call in message.get("tool_calls", [])}
        assert not open_calls
    assert len(await thread.summaries()) > 5


async def test_the_running_runs_question_stays_when_a_summary_covers_it(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    claim = await thread.run("the question of this run")
    for _ in range(10):
        await thread.call_tool(words(1500))
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
    built = await manager.build(claim, model=MODEL, system=None)
    assert built.messages[0]["content"].startswith("======== CONVERSATION HISTORY SUMMARY")
    assert built.messages[1] == {"role": "user", "content": "the question of this run"}
    assert built.messages[2]["role"] == "assistant"
    # It belongs to its run alone.
    await thread.say("assistant", "found")
    later = await manager.build(await thread.run("another"), model=MODEL, system=None)
    assert "the question of this run" not in spoken(later.messages)


async def test_two_at_once_give_one(thread: GrowingThread, manager: ContextManager, model: ModelServer) -> None:
    await thread.turns(36)
    claim = await thread.run("go on")
    made = await asyncio.gather(
        *(manager.check_and_summarize_if_needed(claim, model=MODEL, force=True) for _ in range(4))
    )
    assert sorted(made) == [False, False, False, True]
    assert len(await thread.summaries()) == 1


async def test_two_at_once_give_one_even_if_the_thread_grew_between_their_readings(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    await thread.turns(36)
    claim = await thread.run("go on")

    async def grow_and_overtake() -> bool:
        if not await thread.summaries():
            await thread.call_tool(words(2000))
            assert await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
        return False

    assert not await manager.check_and_summarize_if_needed(
        claim, model=MODEL, force=True, should_stop=grow_and_overtake
    )
    assert len(await thread.summaries()) == 1


async def test_a_summary_is_void_when_something_it_covers_changes(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    await thread.turns(36)
    claim = await thread.run("go on")
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL)
    connection = thread.database.connection

    # What it does not cover changes nothing,
    await connection.execute(
        "UPDATE messages SET metadata = '{\"seen\": true}' WHERE (run_number, position) = ($1, 0)", claim.number
    )
    assert (await thread.summaries())[0]["void_at"] is None
    # what it covers does: a message that is hidden, removed, or put in between.
    await connection.execute("UPDATE messages SET is_llm_message = false WHERE (run_number, position) = (2, 1)")
    (first,) = await thread.summaries()
    assert first["void_at"] is not None
    built = await manager.build(claim, model=MODEL, system=None)
    assert built.over_budget and not any("SUMMARY" in said for said in spoken(built.messages))

    assert await manager.check_and_summarize_if_needed(claim, model=MODEL)
    _, second = await thread.summaries()
    assert second["void_at"] is None and second["follows_summary_id"] is None
    assert (second["covers_run_number"], second["covers_position"]) == (
        first["covers_run_number"],
        first["covers_position"],
    )
    await connection.execute("DELETE FROM messages WHERE (run_number, position) = (3, 0)")
    assert (await thread.summaries())[1]["void_at"] is not None


async def test_a_summary_of_what_changed_while_it_was_made_is_dropped(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    await thread.turns(36)
    claim = await thread.run("go on")

    async def change() -> bool:
        await thread.database.connection.execute(
            'UPDATE messages SET content = \'{"role": "user", "content": "other"}\' '
            "WHERE (run_number, position) = (1, 0)"
        )
        return False

    assert not await manager.check_and_summarize_if_needed(claim, model=MODEL, should_stop=change)
    assert await thread.summaries() == []


async def test_long_input_is_chunked_and_every_message_is_given_once(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    await thread.import_messages(300, length=300)
    claim = await thread.run("go on")
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL)

    calls = model.calls()
    assert len(calls) > 5
    given = [message["content"] for _, message in calls]
    for place in range(300):
        assert sum(f"\nmessage {place}: " in text for text in given) <= 1
    (row,) = await thread.summaries()
    covered = json.loads(row["metadata"])["messages"]
    assert sum(f"\nmessage {place}: " in text for text in given for place in range(300)) == covered
    assert covered > 250
    for text in given:
        assert count_message({"role": "user", "content": text}, "cl100k") <= BUDGET
    # Each call is given the summary that the one before made.
    assert all("The earlier summary:\n\nSummary of" in text for text in given[1:])


async def test_a_message_longer_than_any_chunk_is_given_in_pieces(
    thread: GrowingThread, manager: ContextManager, llm: Llm, model: ModelServer
) -> None:
    await thread.run(words(30_000) + " [[remember shape round]] " + words(30_000))
    await thread.say("assistant", "long")
    await thread.turns(2)
    claim = await thread.run("[[recall shape]]")
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
    assert len(model.calls()) > 4
    built = await manager.build(claim, model=MODEL, system=None)
    assert (await llm.complete(model=MODEL, messages=built.messages)).text == "shape = round"


@pytest.mark.usefixtures("model")
async def test_what_a_summary_used_counts_in_the_budgets_of_its_run_and_of_the_day(
    thread: GrowingThread, manager: ContextManager
) -> None:
    await thread.turns(120)
    claim = await thread.run("go on")
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
    [summary] = await thread.summaries()
    used = json.loads(summary["metadata"])["usage"]
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"] > 0
    assert "estimated" not in used
    assert await _spent(thread, claim) == used["total_tokens"]


async def _spent(thread: GrowingThread, claim: Claim) -> int:
    """Tokens that the run has used, and its account's day with it."""
    async with transaction() as connection:
        spent = await budgets.of_run(
            connection, account_id=thread.account_id, thread_id=thread.thread_id, run_number=claim.number
        )
    assert spent.run.tokens == spent.day.budget.tokens
    return spent.run.tokens


async def test_a_summary_never_exceeds_its_target(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    # GIVEN a model that cannot be brief: it repeats every fact, also when it is asked to shorten
    facts = "\n".join(f"[[remember fact{place} the value of fact number {place}]]" for place in range(200))
    await thread.run(facts)
    await thread.say("assistant", "noted")
    claim = await thread.run("go on")
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
    (row,) = await thread.summaries()
    content = json.loads(row["content"])
    assert count_message(content, "cl100k") <= BUDGET // 8
    assert text_of(content).splitlines()[-1].startswith("fact: fact")
    assert any("too long" in system["content"] for system, _ in model.calls())


async def test_who_has_lost_the_lease_writes_nothing(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    await thread.turns(36)
    claim = await thread.run("go on")

    async def lose() -> bool:
        await thread.database.expire_lease(claim.agent_run_id)
        return False

    with pytest.raises(LeaseLostError):
        await manager.check_and_summarize_if_needed(claim, model=MODEL, should_stop=lose)
    assert await thread.summaries() == []
    # It was paid for.
    assert await _spent(thread, claim) > 0


async def test_a_stop_is_seen_between_two_chunks(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    await thread.import_messages(300, length=300)
    claim = await thread.run("go on")

    async def stop_after_two() -> bool:
        return len(model.calls()) >= 2

    assert not await manager.check_and_summarize_if_needed(claim, model=MODEL, should_stop=stop_after_two)
    assert len(model.calls()) == 2
    assert await thread.summaries() == []
    assert await _spent(thread, claim) > 0


@pytest.mark.usefixtures("model")
async def test_a_summary_whose_provider_does_not_count_is_charged_by_our_count(
    thread: GrowingThread, manager: ContextManager, llm: Llm, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = llm.complete

    async def uncounted(**asked: Any) -> Completion:
        return replace(await complete(**asked), usage=None)

    monkeypatch.setattr(llm, "complete", uncounted)
    await thread.turns(40)
    claim = await thread.run("go on")
    assert await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
    [summary] = await thread.summaries()
    used = json.loads(summary["metadata"])["usage"]
    assert used["estimated"] is True
    assert 0 < used["output_tokens"] < used["input_tokens"]


async def test_a_summariser_that_fails_leaves_the_thread_as_it_was_and_the_run_goes_on(
    thread: GrowingThread, manager: ContextManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries_module, "_BACKOFF_S", (0.0, 0.0))
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    await thread.turns(40)
    claim = await thread.run("go on")
    assert (await manager.build(claim, model=MODEL, system=None)).over_budget
    with pytest.raises(SummaryFailedError, match="the model has made no summary"):
        await manager.check_and_summarize_if_needed(claim, model=MODEL)
    assert await thread.summaries() == []
    built = await manager.build(claim, model=MODEL, system=None)
    assert not built.over_budget and built.left_out > 0
    assert built.messages[-1]["content"] == "go on"


async def test_a_summary_is_prepared_when_the_run_has_ended_near_its_budget(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    async def ended() -> EndedRun:
        await transitions.finish(thread.claim, status="completed", error=None, last_seq=thread.claim.last_seq)
        return EndedRun(scope=Scope.of(thread.claim), config={})

    claim = await thread.run("hello")
    assert not (await manager.build(claim, model=MODEL, system=None)).near_budget
    await thread.turns(26)
    built = await manager.build(thread.claim, model=MODEL, system=None)
    assert (built.near_budget, built.over_budget) == (True, False)
    run = await ended()
    made = await asyncio.gather(*(manager.prepare(run, model=MODEL) for _ in range(2)))
    assert sum(one is not None for one in made) == 1
    (row,) = await thread.summaries()
    assert row["void_at"] is None
    thread.forget_claim()
    claim = await thread.run("go on")
    built = await manager.build(claim, model=MODEL, system=None)
    assert built.messages[0] == json.loads(row["content"])
    assert not built.near_budget
