"""Histories of a thread's runs against a model: two runners, a workflow, the watch and the API, in any order.

The model is the table of ``docs/lifecycles/run.md``; the real thing is PostgreSQL. After every step both agree on each
run's status, on who holds it, and on who is refused.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain import TERMINAL, Claim, RunStatus
from shared.errors import LeaseLostError
from shared.runs import transitions
from shared.runs.stopping import request_stop
from tests.integration.databases import Database
from tests.integration.queues import Queues

_RUNS = st.integers(0, 2)
_ACTORS = st.sampled_from(["runner a", "runner b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.just(0), st.just("")),
        st.tuples(st.just("claim"), _RUNS, _ACTORS),
        st.tuples(st.just("claim"), _RUNS, _ACTORS),
        st.tuples(st.just("claim by the workflow"), _RUNS, st.just("runner b")),
        st.tuples(st.just("expire"), _RUNS, st.just("")),
        st.tuples(st.just("finish"), _RUNS, _ACTORS),
        st.tuples(st.just("hand over"), _RUNS, _ACTORS),
        st.tuples(st.just("stop"), _RUNS, st.just("")),
        st.tuples(st.just("stranger stops"), _RUNS, st.just("")),
    ),
    min_size=4,
    max_size=30,
)


@dataclass
class Run:
    """What the model knows of a run."""

    agent_run_id: UUID
    status: RunStatus = "queued"
    executor: str = "queue"
    attempt: int = 0
    crashes: int = 0
    handover_no: int = 0
    lease: str = "none"  # none | live | ended
    stop_requested: bool = False


@dataclass
class Model:
    """A thread, its runs in their order, and the claims that actors believe they have."""

    database: Database
    account_id: str
    thread_id: UUID
    runs: list[Run] = field(default_factory=list[Run])
    claims: dict[tuple[int, str], Claim] = field(default_factory=dict[tuple[int, str], Claim])

    async def play(self, step: str, place: int, actor: str) -> None:
        """One step, by both."""
        if step == "record":
            if len(self.runs) < 3:
                self.runs.append(Run(await self.database.new_run(self.thread_id)))
            return
        if place >= len(self.runs):
            return
        run = self.runs[place]
        match step:
            case "claim":
                await self._claim(run, place, actor, "queue")
            case "claim by the workflow":
                await self._claim(run, place, actor, "workflow")
            case "expire" if run.lease == "live":
                await self.database.expire_lease(run.agent_run_id)
                run.lease = "ended"
            case "finish" if (place, actor) in self.claims:
                await self._end(run, self.claims[place, actor])
            case "hand over" if (place, actor) in self.claims:
                await self._hand_over(run, self.claims[place, actor])
            case "stop":
                await self._stop(run)
            case "stranger stops":
                with pytest.raises(Exception, match="there is no run"):
                    await request_stop(agent_run_id=run.agent_run_id, account_id="a stranger")
            case _:
                pass

    def _may_be_claimed(self, run: Run, executor: str) -> bool:
        if run.executor != executor:
            return False
        if run.status == "running":
            return run.lease != "live"
        earlier = self.runs[: self.runs.index(run)]
        nobody_else = all(other.status != "running" for other in self.runs)
        return run.status == "queued" and nobody_else and all(other.status != "queued" for other in earlier)

    async def _claim(self, run: Run, place: int, actor: str, executor: Any) -> None:
        expected = self._may_be_claimed(run, executor)
        claim = await transitions.claim(
            agent_run_id=run.agent_run_id, account_id=self.account_id, executor=executor, lease_s=60
        )
        assert (claim is not None) == expected, f"claim of run {place} as {executor}"
        if claim is None:
            return
        run.crashes += run.status == "running" and run.lease == "ended"
        run.status, run.lease = "running", "live"
        run.attempt += 1
        assert (claim.attempt, claim.crashes) == (run.attempt, run.crashes)
        self.claims[place, actor] = claim

    def _holds(self, run: Run, claim: Claim) -> bool:
        return run.status == "running" and run.lease == "live" and run.attempt == claim.attempt

    async def _end(self, run: Run, claim: Claim) -> None:
        expected = self._holds(run, claim)
        try:
            await transitions.finish(claim, status="completed", error=None, last_seq=claim.last_seq)
        except LeaseLostError:
            assert not expected
        else:
            assert expected
            run.status, run.lease = "completed", "none"

    async def _hand_over(self, run: Run, claim: Claim) -> None:
        expected = self._holds(run, claim)
        try:
            await transitions.hand_over(claim, wake_by_s=60, last_seq=claim.last_seq)
        except LeaseLostError:
            assert not expected
        else:
            assert expected
            run.executor, run.lease = "workflow", "none"
            run.handover_no += 1

    async def _stop(self, run: Run) -> None:
        stopped = await request_stop(agent_run_id=run.agent_run_id, account_id=self.account_id)
        if run.status not in TERMINAL:
            if run.lease == "live":
                run.stop_requested = True
            else:
                run.status, run.lease = "stopped", "none"
                run.attempt += 1
        assert stopped.status == run.status

    async def check(self) -> None:
        """The rows are as the model says; every end was told once."""
        for run in self.runs:
            row = await self.database.run(run.agent_run_id)
            assert (row["status"], row["executor"], row["attempt"], row["crashes"], row["handover_no"]) == (
                run.status,
                run.executor,
                run.attempt,
                run.crashes,
                run.handover_no,
            )
            assert (row["stop_requested"] is not None) == run.stop_requested
            ends = await self.database.connection.fetchval(
                "SELECT count(*) FROM thread_events WHERE agent_run_id = $1 AND channel = 'lifecycle'",
                run.agent_run_id,
            )
            assert ends == (run.status in TERMINAL)
        thread = await self.database.thread(self.thread_id)
        assert thread["last_run_status"] == (self.runs[-1].status if self.runs else "")


@pytest.fixture
async def play(database: Database, queues: Queues, subscriptions_table: str, account_id: str) -> AsyncIterator[Any]:
    async def played(steps: list[tuple[str, int, str]]) -> None:
        model = Model(database, account_id, await database.new_thread(account_id))
        for step in steps:
            await model.play(*step)
            await model.check()

    yield played


@given(steps=STEPS)
@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_whatever_the_order_the_transitions_are_those_of_the_table(
    play: Any, steps: list[tuple[str, int, str]]
) -> None:
    await play(steps)
