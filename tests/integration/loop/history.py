"""Plays a scenario: the real loop on real PostgreSQL and Redis, attempt after attempt, until every run has ended."""

import asyncio
import contextvars
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from functions.runner.execution import Executed, Execution
from shared.aws.queue import RunMessage
from shared.context.manager import ContextManager
from shared.database import tool_executions, transaction
from shared.domain import TERMINAL, AgentRun, Json, ThreadLog
from shared.errors import DatabaseUnavailableError
from shared.events import Logged
from shared.runs import transitions
from shared.runs.lease import Lease, LeaseKeeper
from shared.runs.record import NewMessage, NewRun, record_run
from shared.stream import log
from tests.integration.loop import faults, wellformed
from tests.integration.loop.effects import Ledger
from tests.integration.loop.faults import Attempt
from tests.integration.loop.observer import Observer
from tests.integration.loop.scenario import AttemptPlan, RunPlan, Scenario
from tests.integration.loop.script import MODEL, Answer, Given, ScriptedLlm
from tests.integration.waiting import until
from tests.integration.watch_records import look_after

LEASE_S = 30.0
MOST_ATTEMPTS = 40
_PAST = "clock_timestamp() - interval '1 hour'"

_SNAPSHOT = """
SELECT
    (SELECT json_agg(m ORDER BY m.run_number, m.position)::text FROM messages m WHERE m.thread_id = $1),
    (SELECT json_agg(t ORDER BY t.assistant_message_id, t.call_id)::text FROM tool_executions t WHERE t.thread_id = $1),
    (SELECT json_agg(json_build_array(r.agent_run_id, r.status, r.attempt, r.executor, r.handover_no, r.ended_at)
        ORDER BY r.number)::text FROM agent_runs r WHERE r.thread_id = $1),
    (SELECT json_build_array(t.epoch, t.last_seq, t.reserved_seq)::text FROM threads t WHERE t.thread_id = $1)
"""


class ScriptedKeeper(LeaseKeeper):
    """Tells an attempt what the keeper would tell it, when a fault says so; time does not pass here."""

    def __init__(self) -> None:
        super().__init__(lease_s=LEASE_S)
        self.stopping: set[UUID] = set()

    async def hold(
        self, claim: Any, *, claimed_at: float, on_lost: Any, on_stop: Any, on_facts: Any, on_drain: Any = None
    ) -> Lease:
        """Note whom to tell; a stop that was asked for before is told soon."""
        attempt = faults.current()
        assert attempt is not None
        attempt.on_lost, attempt.on_stop, attempt.on_drain = on_lost, on_stop, on_drain
        if claim.agent_run_id in self.stopping:
            asyncio.get_running_loop().call_soon(on_stop, "stop")
        return Lease(claim, on_lost, on_stop, on_facts, on_drain, expires_at=claimed_at + LEASE_S)

    def release(self, lease: Lease) -> None:
        """Nothing is renewed, so nothing is released."""


@dataclass
class Ended:
    """How a run was first seen to have ended."""

    run: AgentRun
    plan: RunPlan
    row: Json
    resume: dict[str, bool]
    attempts: list[Attempt] = field(default_factory=list[Attempt])


class History:
    """One thread's history."""

    def __init__(self, scenario: Scenario, *, pool: "asyncpg.Pool[asyncpg.Record]", ledger: Ledger) -> None:
        """``pool``: the test's own connections, on which no fault happens."""
        self.scenario = scenario
        self.account_id = f"account-{uuid4()}"
        self.thread_id = uuid4()
        self.ledger = ledger
        self.given: list[Given] = []
        self.frames: dict[int, str] = {}
        self.ended: list[Ended] = []
        self.attempts: list[Attempt] = []
        self.violations: list[str] = []
        self._sql = Observer(pool)
        self._script = deque(scenario.script)
        self._queued: list[RunMessage] = []
        self._handed_over: set[tuple[UUID, int]] = set()
        self._sleepers: list[tuple[AgentRun, Attempt]] = []
        self._keeper = ScriptedKeeper()
        llm = ScriptedLlm(self._on_call, lambda: faults.reach("chunk"))
        self._execution = Execution(
            llm=llm,
            context_manager=ContextManager(llm=llm),
            keeper=self._keeper,
            lease_s=LEASE_S,
            wake_by_s=60,
        )

    # What stands in for queues, the workflow and the log.

    async def send(self, queue: str, message: RunMessage, *, delay_s: float = 0) -> None:
        """A message for a queue."""
        await faults.reach("send")
        if queue != "watch":
            self._queued.append(message)

    async def start_workflow(self, *, name: str, **__: Any) -> None:
        """A StartExecution: the workflow will advance the run."""
        await faults.reach("send")
        run_id, _, handover_no = name.rpartition("-")
        self._handed_over.add((UUID(run_id), int(handover_no)))

    def numbered(self, batch: Sequence[Logged]) -> None:
        """These events are appended: nobody has used their numbers for anything else."""
        for event in batch:
            if self.frames.setdefault(event.seq, event.frame) != event.frame:
                self.violations.append(f"seq {event.seq} is used for {self.frames[event.seq]} and {event.frame}")

    async def _on_call(self, messages: list[Json]) -> Given:
        await faults.reach("model")
        attempt = faults.current()
        assert attempt is not None
        run_id = attempt.agent_run_id
        number = len(self.given)
        answer = self._script.popleft() if self._script else Answer()
        given = Given(number, answer, attempt.number, run_id, messages)
        if answer.ending not in ("empty", "filtered", "refused", "wrong"):
            given.tokens = {f"t{number}.{place}": call for place, call in enumerate(answer.calls)}
        self.given.append(given)
        self.violations += [f"given at answer {number}: {problem}" for problem in wellformed.problems(messages)]
        if not attempt.superseded:
            self.violations += wellformed.differences(messages, await self.stored())
        return given

    async def stored(self) -> list[Json]:
        """The contents of the thread's messages, in order."""
        return [json.loads(row["content"]) for row in await self.messages()]

    async def messages(self) -> list[Json]:
        """The thread's messages, in order."""
        rows = await self._sql.fetch(
            "SELECT * FROM messages WHERE thread_id = $1 ORDER BY run_number, position", self.thread_id
        )
        return [dict(row) for row in rows]

    async def charged(self) -> list[Json]:
        """What the thread's answers are charged with."""
        rows = await self._sql.fetch("SELECT metadata FROM charged_answers WHERE thread_id = $1", self.thread_id)
        return [json.loads(row["metadata"]) for row in rows]

    async def executions(self) -> list[Json]:
        """The thread's tool executions."""
        rows = await self._sql.fetch("SELECT * FROM tool_executions WHERE thread_id = $1", self.thread_id)
        return [dict(row) for row in rows]

    # The play.

    async def play(self) -> None:
        """Play all runs, and a last one without faults: after it nothing may be open."""
        for plan in self.scenario.runs:
            await self._play_run(plan)
        self._script.clear()
        await self._play_run(RunPlan())

    async def _play_run(self, plan: RunPlan) -> None:
        resume = await self._decisions(plan)
        config: Json = {
            "agent": {
                "model": MODEL,
                "provider_key": self.scenario.provider_key,
                "tools": ["effects"],
                "processor": self.scenario.processor,
                "limits": {"run_s": faults.RUN_LIMIT_S, "max_auto_continues": 2},
            },
            "resume": resume,
        }
        run = await record_run(
            NewRun(
                account_id=self.account_id,
                thread_id=self.thread_id,
                assistant_id="agent",
                messages=[NewMessage(type="user", content={"role": "user", "content": "Go on."})],
                config=config,
                create_thread=True,
            )
        )
        first = len(self.attempts)
        async with asyncio.timeout(6 * faults.HANG_S):
            await self._drive(run, plan)
        row = await self.row(run)
        assert row["status"] in TERMINAL, f"after {MOST_ATTEMPTS} attempts the run is still {row['status']}"
        await look_after(self._message(run), age_s=0)
        row = await self.row(run)
        assert row["settled_at"] is not None
        self.ended.append(Ended(run, plan, row, resume, self.attempts[first:]))

    async def _decisions(self, plan: RunPlan) -> dict[str, bool]:
        async with transaction() as connection:
            waiting = await tool_executions.awaiting(connection, thread_id=self.thread_id, account_id=self.account_id)
        decided = zip(waiting, plan.approves, strict=False)
        return {call.call_id: approves for call, approves in decided if approves is not None}

    async def _drive(self, run: AgentRun, plan: RunPlan) -> None:
        plans = deque(plan.attempts)
        for _ in range(MOST_ATTEMPTS):
            if not plans and not self._sleepers and (await self.row(run))["status"] in TERMINAL:
                return
            sleepers, self._sleepers = self._sleepers, []
            await self._attempt(run, plans.popleft() if plans else AttemptPlan())
            for slept_in, sleeper in sleepers:
                await self._wake(slept_in, sleeper)

    async def _attempt(self, run: AgentRun, plan: AttemptPlan) -> None:
        """The run is dispatched, as the queue, the workflow or the watch does; a message may also come too late."""
        await self._run_out(run)
        row = await self.row(run)
        handed_over = row["executor"] == "workflow"
        if handed_over and (plan.taken_back or (run.agent_run_id, row["handover_no"]) not in self._handed_over):
            await self._set(run, wake_by=_PAST)
            handed_over = False
        if not handed_over and row["status"] not in TERMINAL:
            await self._set(run, dispatched_at=_PAST)
            self._queued.clear()
            await look_after(self._message(run), age_s=60)
            assert self._message(run) in self._queued, "the watch does not dispatch an unfinished run that nobody holds"
        # To a message that comes after the run's end nothing happens: it has to be refused.
        befalls = () if row["status"] in TERMINAL else plan.faults
        attempt = Attempt(len(self.attempts), run.agent_run_id, befalls, lambda: self._run_out(run))
        self.attempts.append(attempt)
        execution = self._execution.execute(
            self._message(run),
            executor="workflow" if handed_over else "queue",
            budget=attempt.budget(),
            handover_no=row["handover_no"] if handed_over else None,
        )
        context = contextvars.copy_context()
        context.run(faults.enter, attempt)
        attempt.task = asyncio.get_running_loop().create_task(execution, context=context)
        await self._follow(run, attempt)
        if row["status"] in TERMINAL:
            assert attempt.task.done() and attempt.task.result().outcome == "refused", "a run that ended is executed"

    async def _follow(self, run: AgentRun, attempt: Attempt) -> None:
        """Until the attempt has ended, is dead, or sleeps."""
        assert attempt.task is not None
        done = await _first(attempt)
        while done and not (attempt.task.done() or attempt.dead or attempt.paused):
            # One of its tasks has fallen asleep just before all were woken.
            attempt.halted.clear()
            done = await _first(attempt)
        if attempt.stop_requested:
            self._keeper.stopping.add(run.agent_run_id)
            await self._set(run, stop_requested="'stop'")
        if attempt.dead:
            await attempt.end()
            return
        assert done, f"attempt {attempt.number} hangs: {attempt.tasks()}"
        if attempt.task.done():
            await self._finished(run, attempt)
        else:
            await self._asleep(run, attempt)

    async def _finished(self, run: AgentRun, attempt: Attempt) -> None:
        assert attempt.task is not None
        left = [task for task in attempt.tasks() if _is_ours(task)]
        if left:
            self.violations.append(f"attempt {attempt.number} has left behind {left}")
        await attempt.end()
        error = None if attempt.task.cancelled() else attempt.task.exception()
        if attempt.task.cancelled() or not (error is None or isinstance(error, DatabaseUnavailableError)):
            raise AssertionError(f"attempt {attempt.number} was not to end so: {error!r}") from error
        if error is None:
            executed: Executed = attempt.task.result()
            if executed.handover_no is not None and (await self.row(run))["executor"] == "workflow":
                self._workflow_goes_on(run, attempt, executed.handover_no)

    def _workflow_goes_on(self, run: AgentRun, attempt: Attempt, handover_no: int) -> None:
        """A step of the workflow answered with the next hand-over."""
        if handover_no > 1:
            self._handed_over.add((run.agent_run_id, handover_no))

    async def _asleep(self, run: AgentRun, attempt: Attempt) -> None:
        """The process sleeps. A message that comes now is refused; then its lease ends."""
        await until(lambda: not attempt.transactions)
        attempt.halted.clear()
        row = await self.row(run)
        if row["status"] == "running" and row["lease_expires_at"] is not None and not attempt.superseded:
            claim = await transitions.claim(
                agent_run_id=run.agent_run_id, account_id=self.account_id, executor=row["executor"], lease_s=LEASE_S
            )
            assert claim is None or attempt.on_stop is None, "a held run was claimed"
        await self._run_out(run)
        attempt.superseded = attempt.superseded or (attempt.reached["committed"] > 0 and row["status"] == "running")
        self._sleepers.append((run, attempt))

    async def _wake(self, run: AgentRun, attempt: Attempt) -> None:
        """A zombie wakes up; if it was superseded, nothing that it does is kept."""
        before = await self._snapshot()
        attempt.awake.set()
        await self._follow(run, attempt)
        if attempt.superseded and await self._snapshot() != before:
            self.violations.append(f"zombie {attempt.number} has written: {before} -> {await self._snapshot()}")

    async def _snapshot(self) -> list[Any]:
        row = await self._sql.fetchrow(_SNAPSHOT, self.thread_id)
        assert row is not None
        return list(row)

    async def row(self, run: AgentRun) -> Json:
        """The run's row."""
        row = await self._sql.fetchrow("SELECT * FROM agent_runs WHERE agent_run_id = $1", run.agent_run_id)
        assert row is not None
        return dict(row)

    async def _run_out(self, run: AgentRun) -> None:
        """The lease ends, if there is one."""
        await self._sql.execute(
            f"UPDATE agent_runs SET lease_expires_at = {_PAST} "  # noqa: S608
            "WHERE agent_run_id = $1 AND status = 'running' AND lease_expires_at IS NOT NULL",
            run.agent_run_id,
        )

    async def _set(self, run: AgentRun, **columns: str) -> None:
        changes = ", ".join(f"{name} = {expression}" for name, expression in columns.items())
        await self._sql.execute(
            f"UPDATE agent_runs SET {changes} WHERE agent_run_id = $1",  # noqa: S608
            run.agent_run_id,
        )

    def _message(self, run: AgentRun) -> RunMessage:
        return RunMessage(agent_run_id=run.agent_run_id, thread_id=self.thread_id, account_id=self.account_id)

    async def logged(self) -> list[Logged]:
        """The thread's log."""
        return await log.read(await self.log(), after_seq=0, limit=log.LONGEST_LOG)

    async def log(self) -> ThreadLog:
        """Which one it is; asked over a connection that no fault befalls."""
        generation = await self._sql.fetchval("SELECT generation FROM threads WHERE thread_id = $1", self.thread_id)
        return ThreadLog(thread_id=self.thread_id, generation=generation)


async def _first(attempt: Attempt) -> bool:
    """Wait until the attempt has ended or halted; False if it has done neither."""
    assert attempt.task is not None
    halted = asyncio.create_task(attempt.halted.wait())
    done, _ = await asyncio.wait({attempt.task, halted}, return_when=asyncio.FIRST_COMPLETED, timeout=faults.HANG_S)
    halted.cancel()
    return bool(done)


def _is_ours(task: "asyncio.Task[Any]") -> bool:
    """Whether the task runs code of the loop (and not of a driver, which cleans up after a cancelled query)."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and ("/functions/" in code.co_filename or "/shared/" in code.co_filename)
