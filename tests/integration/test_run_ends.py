"""What the end of a run leaves behind, whoever ends it: no open call, and what was accepted before it is done."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Literal
from uuid import UUID, uuid4

import pytest

from shared.aws.queue import RunMessage
from shared.database import messages, tool_executions, transaction
from shared.database.tool_executions import ExecutionStatus, ToolExecution
from shared.domain import Claim, RunStatus, StopKind
from shared.runs import transitions
from shared.runs.failing import fail_handed_over
from shared.runs.stopping import request_stop
from tests.integration.databases import LEASE_S, Database
from tests.integration.queues import Queues
from tests.integration.waiting import until

pytestmark = pytest.mark.usefixtures("queues", "subscriptions_table")

POISON = {"code": "poison", "message": "it has killed its executors"}


class Thread:
    """A thread whose first run has asked for approvals, and whose second one is to be ended."""

    def __init__(self, database: Database, account_id: str, thread_id: UUID) -> None:
        self.database = database
        self.account_id = account_id
        self.thread_id = thread_id
        self.answers: dict[UUID, UUID] = {}

    async def run(self, **columns: str) -> UUID:
        """The next run, with an answer of the model."""
        run_id = await self.database.new_run(self.thread_id, **columns)
        number = (await self.database.run(run_id))["number"]
        self.answers[run_id] = uuid4()
        async with transaction() as connection:
            await messages.insert(
                connection,
                message_id=self.answers[run_id],
                thread_id=self.thread_id,
                account_id=self.account_id,
                run_number=number,
                type="assistant",
                content={"role": "assistant", "content": "I call."},
                agent_run_id=run_id,
            )
        return run_id

    async def call(
        self, run_id: UUID, name: str, status: ExecutionStatus, form: Literal["native", "xml"] = "native"
    ) -> None:
        """A call in the run's answer."""
        async with transaction() as connection:
            done = {"success": True, "output": "done"}
            execution = ToolExecution(
                agent_run_id=run_id,
                call_id=name,
                assistant_message_id=self.answers[run_id],
                run_number=0,
                call_index=await self.database.count("tool_executions"),
                name=name,
                arguments={},
                form=form,
                status="started" if status == "finished" else status,
                result=None,
            )
            await tool_executions.begin(connection, execution, thread_id=self.thread_id, account_id=self.account_id)
            if status == "finished":
                await tool_executions.finish(
                    connection, assistant_message_id=self.answers[run_id], call_id=name, result=done
                )

    async def claim(self, run_id: UUID) -> Claim:
        """The run is begun."""
        claim = await transitions.claim(
            agent_run_id=run_id, account_id=self.account_id, executor="queue", lease_s=LEASE_S
        )
        assert claim is not None
        return claim

    async def open_calls(self) -> set[str]:
        """The calls without a result among the messages."""
        rows = await self.database.connection.fetch("SELECT call_id FROM tool_executions WHERE NOT answered")
        return {row["call_id"] for row in rows}

    async def results(self) -> dict[str, tuple[int, str]]:
        """In which run's place each result stands, and what it says."""
        rows = await self.database.connection.fetch("SELECT * FROM messages WHERE type = 'tool'")
        said = [(row["run_number"], json.loads(row["content"])) for row in rows]
        return {content["name"]: (number, content["content"]) for number, content in said}


@pytest.fixture
async def thread(database: Database, account_id: str) -> Thread:
    return Thread(database, account_id, await database.new_thread(account_id))


@pytest.fixture
async def run_id(thread: Thread) -> UUID:
    """A run with calls of its own and verdicts on those of the run before it."""
    first = await thread.run(status="'needs_input'", ended_at="now()")
    for name in ("approved", "declined", "unsaid"):
        await thread.call(first, name, "awaiting")
    await thread.call(first, "begun", "started")
    resume = '{"resume": {"approved": true, "begun": true, "declined": false}}'
    second = await thread.run(config=f"'{resume}'::jsonb")
    for name, status in (("pending", "pending"), ("started", "started"), ("asking", "awaiting"), ("done", "finished")):
        await thread.call(second, name, status)  # type: ignore[arg-type]
    return second


async def _finish(thread: Thread, run_id: UUID) -> None:
    claim = await thread.claim(run_id)
    await transitions.finish(claim, status="failed", error=POISON, last_seq=claim.last_seq)


async def _stop(thread: Thread, run_id: UUID) -> None:
    await thread.claim(run_id)
    await thread.database.expire_lease(run_id)
    await request_stop(agent_run_id=run_id, account_id=thread.account_id)


async def _catch(thread: Thread, run_id: UUID) -> None:
    claim = await thread.claim(run_id)
    await transitions.hand_over(claim, wake_by_s=60, last_seq=claim.last_seq)
    message = RunMessage(agent_run_id=run_id, thread_id=thread.thread_id, account_id=thread.account_id)
    await fail_handed_over(message, handover_no=1, error={"code": "workflow_failed", "message": "the workflow failed"})


ENDS: dict[str, tuple[Callable[[Thread, UUID], Awaitable[None]], str]] = {
    "finish": (_finish, "it has killed its executors"),
    "stop": (_stop, "the run was stopped"),
    "catch": (_catch, "the workflow failed"),
}


@pytest.mark.parametrize(("end", "why"), ENDS.values(), ids=ENDS.keys())
async def test_every_end_answers_what_the_run_made_began_or_has_a_verdict_for(
    thread: Thread, run_id: UUID, end: Callable[[Thread, UUID], Awaitable[None]], why: str
) -> None:
    await end(thread, run_id)
    assert await thread.open_calls() == set()
    unknown = f"The outcome of this call is unknown: the run ended before the call did ({why}). It may have had its "
    unknown += "effects; check before you call it again."
    assert await thread.results() == {
        "approved": (1, f"This call was approved, but was not executed: {why}."),
        "declined": (1, "The user has declined this call."),
        "unsaid": (
            1,
            "The user has neither approved nor declined this call, but gone on; it was not executed.",
        ),
        "begun": (1, unknown),
        "pending": (2, f"This call was not executed: {why}."),
        "started": (2, unknown),
        "asking": (2, f"This call was not executed: {why}."),
        "done": (2, "done"),
    }


async def test_the_results_are_told_before_the_end(thread: Thread, run_id: UUID) -> None:
    claim = await thread.claim(run_id)
    told = (await transitions.finish(claim, status="failed", error=POISON, last_seq=claim.last_seq)).told
    frames = [json.loads(fact.logged.frame) for fact in told]
    assert [frame["method"] for frame in frames] == ["tools"] * 7 + ["lifecycle"]


@pytest.mark.parametrize("end", [end for end, _ in ENDS.values()], ids=ENDS.keys())
async def test_what_nobody_has_spoken_about_goes_on_waiting(
    thread: Thread, end: Callable[[Thread, UUID], Awaitable[None]]
) -> None:
    first = await thread.run(status="'needs_input'", ended_at="now()")
    await thread.call(first, "asking", "awaiting")
    await thread.call(first, "behind it", "finished", "xml")
    await end(thread, await thread.run())
    assert await thread.open_calls() == {"asking", "behind it"}


async def test_a_run_that_has_not_begun_ends_without_the_calls_of_the_one_before_it(thread: Thread) -> None:
    first = await thread.run()
    await thread.call(first, "working", "started")
    await thread.claim(first)
    second = await thread.run()
    await request_stop(agent_run_id=second, account_id=thread.account_id)
    assert (await thread.database.run(second))["status"] == "stopped"
    assert await thread.open_calls() == {"working"}


async def test_a_run_that_asks_for_approval_ends_with_its_question_open(thread: Thread) -> None:
    run_id = await thread.run()
    await thread.call(run_id, "asking", "awaiting")
    claim = await thread.claim(run_id)
    await transitions.finish(claim, status="needs_input", error=None, last_seq=claim.last_seq)
    assert await thread.open_calls() == {"asking"}


_ACCEPTED: dict[str, tuple[list[StopKind], StopKind]] = {
    "stop": (["stop"], "stop"),
    "rollback": (["rollback"], "rollback"),
    "a stop, then a rollback": (["stop", "rollback"], "rollback"),
    "a rollback, then a stop": (["rollback", "stop"], "rollback"),
}


async def _stopped(thread: Thread, run_id: UUID, kind: StopKind) -> None:
    row = await thread.database.run(run_id)
    assert (row["status"], json.loads(row["error"])["code"]) == ("stopped", kind)
    hidden = await thread.database.connection.fetch("SELECT hidden FROM messages WHERE agent_run_id = $1", run_id)
    assert {row["hidden"] for row in hidden} == {kind == "rollback"}


@pytest.mark.parametrize(("asked", "kind"), _ACCEPTED.values(), ids=_ACCEPTED.keys())
@pytest.mark.parametrize("status", ["completed", "failed", "needs_input", "timed_out", "stopped"])
async def test_a_wish_that_was_accepted_before_the_end_is_done(
    thread: Thread, status: RunStatus, asked: list[StopKind], kind: StopKind
) -> None:
    # GIVEN a holder that has made up its mind, and a wish that it has not heard of
    run_id = await thread.run()
    await thread.call(run_id, "asking", "awaiting")
    claim = await thread.claim(run_id)
    for wish in asked:
        accepted = await request_stop(agent_run_id=run_id, account_id=thread.account_id, kind=wish)
        assert accepted.status == "running"
    # WHEN it ends the run
    error = None if status in ("completed", "needs_input") else {"code": "stop", "message": "x"}
    ended = await transitions.finish(claim, status=status, error=error, last_seq=claim.last_seq)
    # THEN as was wished
    assert ended.status == "stopped"
    await _stopped(thread, run_id, kind)
    assert await thread.open_calls() == set()
    told = [json.loads(fact.logged.frame)["params"]["data"] for fact in ended.told]
    assert told[-1]["event"] == "failed" and kind in told[-1]["error"]


@pytest.mark.parametrize("kind", ["stop", "rollback"])
async def test_a_wish_and_the_end_at_once_agree(thread: Thread, kind: StopKind) -> None:
    # GIVEN a wish that is being accepted, and an end that waits for it
    run_id = await thread.run()
    claim = await thread.claim(run_id)
    other = await thread.database.connect()
    async with other.transaction():
        await other.execute("SELECT 1 FROM threads WHERE thread_id = $1 FOR NO KEY UPDATE", thread.thread_id)
        await other.execute("UPDATE agent_runs SET stop_requested = $2 WHERE agent_run_id = $1", run_id, kind)
        ending = asyncio.create_task(transitions.finish(claim, status="completed", error=None, last_seq=claim.last_seq))
        await until(thread.database.waiting_for_a_lock)
    await other.close()
    await ending
    await _stopped(thread, run_id, kind)


async def test_a_wish_after_the_end_is_told_that_it_came_too_late(thread: Thread) -> None:
    run_id = await thread.run()
    claim = await thread.claim(run_id)
    await transitions.finish(claim, status="completed", error=None, last_seq=claim.last_seq)
    late = await request_stop(agent_run_id=run_id, account_id=thread.account_id, kind="rollback")
    assert late.status == "completed"
    assert not any(row["hidden"] for row in await thread.database.connection.fetch("SELECT hidden FROM messages"))


async def test_the_workflows_catch_does_what_was_accepted(thread: Thread, queues: Queues) -> None:
    run_id = await thread.run()
    claim = await thread.claim(run_id)
    await request_stop(agent_run_id=run_id, account_id=thread.account_id, kind="rollback")
    await transitions.hand_over(claim, wake_by_s=60, last_seq=claim.last_seq)
    message = RunMessage(agent_run_id=run_id, thread_id=thread.thread_id, account_id=thread.account_id)
    await fail_handed_over(message, handover_no=1, error={"code": "workflow_failed", "message": "x"})
    await _stopped(thread, run_id, "rollback")


async def test_a_stop_of_what_nobody_holds_does_what_was_accepted_before(thread: Thread) -> None:
    run_id = await thread.run()
    await thread.claim(run_id)
    await request_stop(agent_run_id=run_id, account_id=thread.account_id, kind="rollback")
    await thread.database.expire_lease(run_id)
    await request_stop(agent_run_id=run_id, account_id=thread.account_id, kind="stop")
    await _stopped(thread, run_id, "rollback")
