"""What is deleted while a summary of it is written: the summary is void, and nothing is left of it."""

import asyncio
from typing import Any

import pytest

from shared.context.manager import ContextManager
from shared.database import context, runs, threads, transaction
from shared.database.context import EndedRun, Scope
from shared.llm import Completion, Llm
from shared.runs import transitions
from tests.integration.context.conftest import MODEL
from tests.integration.context.growing import GrowingThread
from tests.integration.context.model_server import ModelServer
from tests.integration.waiting import until

BUDGET = 4000


@pytest.mark.parametrize("held", [True, False], ids=["while the run goes on", "after the run"])
async def test_a_summary_is_void_when_what_it_covers_is_deleted_while_it_is_written(
    thread: GrowingThread, manager: ContextManager, model: ModelServer, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    # GIVEN a summary that has been compared with what it covers, and is about to be written
    first = await thread.run("hello")
    await thread.turns(40)
    claim = await thread.run("go on")
    insert = context.insert_summary
    deletions: list[asyncio.Task[object]] = []

    async def delete() -> None:
        async with transaction() as taken:
            run = first.agent_run_id
            await runs.delete(taken, agent_run_id=run, account_id=claim.account_id, thread_id=claim.thread_id)

    async def insert_late(*arguments: Any) -> bool:
        # WHEN a run that it covers is deleted
        deletions.append(asyncio.create_task(delete()))
        await until(lambda: deletions[0].done() or thread.database.waiting_for_a_lock())
        return await insert(*arguments)

    monkeypatch.setattr(context, "insert_summary", insert_late)
    if held:
        await manager.check_and_summarize_if_needed(claim, model=MODEL, force=True)
    else:
        await transitions.finish(claim, status="completed", error=None, last_seq=claim.last_seq)
        await manager.prepare(EndedRun(scope=Scope.of(claim), config={}), model=MODEL)
    await deletions[0]
    # THEN it stands for nothing
    assert [row["void_at"] is None for row in await thread.summaries()] == [False]


async def test_nothing_is_written_for_a_thread_that_is_deleted(
    thread: GrowingThread, manager: ContextManager, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await thread.turns(40)
    await transitions.finish(thread.claim, status="completed", error=None, last_seq=thread.claim.last_seq)
    run = EndedRun(scope=Scope.of(thread.claim), config={})
    answers = 0
    complete = Llm.complete

    async def deleted_meanwhile(*arguments: Any, **options: Any) -> Completion:
        nonlocal answers
        answers += 1
        if answers == 1:
            async with transaction() as taken:
                await threads.delete(taken, thread_id=thread.thread_id, account_id=thread.account_id)
        return await complete(*arguments, **options)

    monkeypatch.setattr(Llm, "complete", deleted_meanwhile)
    assert await manager.prepare(run, model=MODEL) is None
