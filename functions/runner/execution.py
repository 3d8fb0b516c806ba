"""One run under one claim: claim, advance, end or hand over, settle."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from pydantic import ValidationError

from functions.runner import catalogue
from functions.runner.agent import Agent
from functions.runner.budget import Budget
from functions.runner.defects import DEFECTS, error_of_defect
from functions.runner.model_call import models_of
from functions.runner.outcome import Outcome
from functions.runner.thread_manager import ThreadManager
from functions.runner.tools.errors import DuplicateToolError, ToolDefinitionError, UnknownToolError
from shared import events
from shared.aws import clients, queue
from shared.aws.faults import RefusedError
from shared.aws.queue import RunMessage
from shared.context.manager import ContextManager
from shared.database.pool import close_pool, open_pool
from shared.domain import Claim, Executor, Json, RunStatus, StopKind
from shared.errors import LeaseLostError
from shared.llm import Llm, ModelNotAllowedError
from shared.process import instance_id
from shared.provider_errors import error_of
from shared.runs import transitions
from shared.runs.ending import stop_error
from shared.runs.holding import holding_run
from shared.runs.instances import is_drained
from shared.runs.lease import LeaseKeeper
from shared.runs.settle import dispatch_next, settle
from shared.runs.step import NextStep
from shared.runs.transitions import Finished
from shared.settings import queue_settings
from shared.shares import on_share_of
from shared.stream import log_hold
from shared.stream.publisher import Publisher
from shared.stream.redis_client import close_redis, open_redis
from shared.telemetry import ids, logger

# Executors that a run may take down with it.
MOST_CRASHES = 5
# After which a message that a drained instance was given comes to another one, or to it again.
_ELSEWHERE_S = 5


@dataclass(frozen=True, kw_only=True)
class Executed:
    """What came of a message: ``outcome`` is "refused" if the run was not the caller's to execute."""

    outcome: str
    next_step: NextStep = "end"
    handover_no: int | None = None
    lease_held: bool = False


class Interruption:
    """Why an advance was cancelled: its lease is lost, somebody asked for a stop, or its instance is drained."""

    def __init__(self) -> None:
        self.lost = False
        self.drained = False
        self.stop: StopKind | None = None
        self._task: asyncio.Task[Outcome] | None = None

    def guard(self, task: asyncio.Task[Outcome]) -> None:
        """Cancel ``task`` when interrupted."""
        self._task = task
        if self.lost or self.drained or self.stop is not None:
            task.cancel()

    def on_lost(self) -> None:
        """The lease is gone, or a newer epoch writes the log."""
        self.lost = True
        self._cancel()

    def on_stop(self, kind: StopKind) -> None:
        """A stop was requested; the first request interrupts, a rollback may still take its place."""
        asked, self.stop = self.stop is not None, kind
        if not asked:
            self._cancel()

    def on_drain(self) -> None:
        """The run is to go on elsewhere."""
        asked, self.drained = self.drained, True
        if not asked:
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class Execution:
    """Executes runs; one a process."""

    def __init__(
        self,
        *,
        llm: Llm,
        context_manager: ContextManager,
        keeper: LeaseKeeper,
        lease_s: float,
        wake_by_s: float,
        instance_id: Callable[[], UUID] = instance_id,
    ) -> None:
        """``instance_id``: asked with each run, since a process may be a copy of another until it has its first."""
        self._llm = llm
        self._context_manager = context_manager
        self._keeper = keeper
        self._lease_s = lease_s
        self._wake_by_s = wake_by_s
        self._instance_id = instance_id

    async def warm_up(self) -> None:
        """What the first run would otherwise wait for, and needs no connection."""
        await asyncio.gather(self._llm.warm_up(), self._context_manager.warm_up(self._llm.default_model))

    async def connect(self) -> None:
        """What the first run would otherwise wait for, and needs connections; and tell the API what is new here."""
        await asyncio.gather(
            open_pool(),
            open_redis(),
            self._llm.load_keys(),
            clients.sqs(),
            clients.dynamodb(),
            clients.step_functions(),
        )
        await self.publish()

    async def publish(self) -> Json:
        """Tell the API what there is here; returns how much."""
        return await catalogue.publish(self._llm)

    async def close(self) -> None:
        """Close the connections that :meth:`connect` and the runs have opened."""
        await asyncio.gather(close_pool(), close_redis(), self._llm.close())

    async def execute(
        self, message: RunMessage, *, executor: Executor, budget: Budget, handover_no: int | None = None
    ) -> Executed:
        """Execute the message's run as far as ``budget`` allows.

        Raises:
            DatabaseUnavailableError: before the claim, nothing has happened; after it, the lease will end.
        """
        claimed_at = time.monotonic()
        claim = await transitions.claim(
            agent_run_id=message.agent_run_id,
            account_id=message.account_id,
            executor=executor,
            lease_s=self._lease_s,
            handover_no=handover_no,
            instance_id=self._instance_id(),
        )
        if claim is None:
            if await is_drained(self._instance_id()):
                return await self._send_elsewhere(message, executor)
            held = handover_no is not None and await transitions.lease_held(
                agent_run_id=message.agent_run_id, handover_no=handover_no
            )
            logger.info("not ours to execute", extra={"lease_held": held})
            return Executed(outcome="refused", lease_held=held)
        logger.info("claimed", extra={"attempt": claim.attempt, "executor": executor})
        interruption = Interruption()
        try:
            async with holding_run(
                claim,
                keeper=self._keeper,
                claimed_at=claimed_at,
                on_lost=interruption.on_lost,
                on_stop=interruption.on_stop,
                on_drain=interruption.on_drain,
                delivery_s=lambda: budget.closing_s,
            ) as publisher:
                executed, ended = await self._advance_and_end(claim, publisher, interruption, budget)
        except LeaseLostError:
            # Another attempt has the run, or will: whatever we would say now is not ours to say.
            logger.warning("the lease was lost")
            return Executed(outcome="lease_lost")
        if ended:
            # Its subscribers have its end, or another sender sees to it: whoever dies before this is repaired.
            await settle(agent_run_id=claim.agent_run_id, thread_id=claim.thread_id, account_id=claim.account_id)
        return executed

    async def _send_elsewhere(self, message: RunMessage, executor: Executor) -> Executed:
        """This instance is drained: nobody may wait for it. What the workflow sent comes back by the watch."""
        logger.info("this instance is drained, and takes no runs")
        if executor == "queue":
            # As a new message, since each receipt counts towards the dead-letter limit.
            await queue.send("runs", message, delay_s=_ELSEWHERE_S)
        return Executed(outcome="refused")

    async def _advance_and_end(
        self, claim: Claim, publisher: Publisher, interruption: Interruption, budget: Budget
    ) -> tuple[Executed, bool]:
        """What came of it, and whether the run has ended."""
        await publisher.publish(events.lifecycle(claim.agent_run_id, "running"))
        outcome = await self._advance(claim, publisher, interruption, budget)
        if outcome.status is None:
            return await self._hand_over(claim, publisher, outcome), False
        ended = await self._end(claim, publisher, outcome, outcome.status)
        logger.info("ended", extra={"outcome": ended.status, "code": ended.error and ended.error["code"]})
        return await self._after(claim, ended.status, near_budget=outcome.near_budget), True

    async def _end(self, claim: Claim, publisher: Publisher, outcome: Outcome, status: RunStatus) -> Finished:
        """End the run, publish its end, dispatch the next. Whatever fails after the commit is the watch's to repair."""
        asked = [
            events.input_requested(claim.agent_run_id, interrupt_id, payload=payload)
            for interrupt_id, payload in outcome.interrupts
        ]
        async with publisher.closing() as last_seq:
            ended = await transitions.finish(claim, status=status, error=outcome.error, last_seq=last_seq, before=asked)
            try:
                used_seq = await publisher.end(ended.told)
                if used_seq != ended.told[-1].logged.seq:
                    await log_hold.close(claim, last_seq=used_seq)
            except LeaseLostError:
                logger.info("the thread's next run publishes the end of this one")
        await dispatch_next(claim.thread_id)
        return ended

    async def _advance(self, claim: Claim, publisher: Publisher, interruption: Interruption, budget: Budget) -> Outcome:
        """Advance until the run ends or is interrupted."""
        if claim.crashes >= MOST_CRASHES:
            message = f"{claim.crashes} executors have died of this run; it is not tried again"
            return Outcome("failed", error={"code": "poison", "message": message})
        try:
            with on_share_of(claim.account_id):
                return await self._advance_agent(claim, publisher, interruption, budget)
        except DEFECTS as error:
            logger.exception("the run has met an error that would come again")
            return Outcome("failed", error=error_of_defect(error))

    async def _advance_agent(
        self, claim: Claim, publisher: Publisher, interruption: Interruption, budget: Budget
    ) -> Outcome:
        try:
            agent = await Agent.of(claim)
        except UnknownToolError as error:
            return Outcome("failed", error={"code": "unknown_tool", "message": error.message})
        except (DuplicateToolError, ToolDefinitionError) as error:
            return Outcome("failed", error={"code": "invalid_config", "message": error.message})
        except ValidationError as error:
            # Recorded by an older or newer version of the API.
            return Outcome("failed", error={"code": "invalid_config", "message": _wrong(error)})
        async with agent:
            try:
                await self._llm.check_models(models_of(agent.config, default_model=self._llm.default_model))
            except ModelNotAllowedError as error:
                return Outcome("failed", error=error_of(error))
            for server, problem in agent.problems.items():
                payload = {"server": server, "problem": problem}
                await publisher.publish(events.custom(claim.agent_run_id, "mcp_server_unusable", payload))
            options = agent.options
            capped_s = options.queue_time_s if claim.executor == "queue" else options.step_time_s
            manager = ThreadManager(
                claim, agent=agent, llm=self._llm, context_manager=self._context_manager, publisher=publisher
            )
            try:
                outcome = await _interruptible(manager, interruption, budget.at_most(capped_s))
            except DEFECTS as error:
                await manager.abandon(error_of_defect(error))
                raise
            return replace(outcome, near_budget=manager.near_budget)

    async def _after(self, claim: Claim, status: RunStatus, *, near_budget: bool) -> Executed:
        """The run has ended: have the thread's next summary prepared, if it will be needed soon."""
        if not near_budget or status != "completed":
            return Executed(outcome=status)
        if claim.executor == "queue":
            await _start_workflow(claim, handover_no=claim.handover_no, next_step="summarize")
            return Executed(outcome=status)
        return Executed(outcome=status, next_step="summarize")

    async def _hand_over(self, claim: Claim, publisher: Publisher, outcome: Outcome) -> Executed:
        """Give the run to the workflow, or from one of its steps to the next."""
        async with publisher.closing() as last_seq:
            handover_no = await transitions.hand_over(claim, wake_by_s=self._wake_by_s, last_seq=last_seq)
        next_step: NextStep = "summarize" if outcome.kind == "needs_summary" else "advance"
        logger.info("handed over", extra={"outcome": outcome.kind, "handover_no": handover_no})
        if claim.executor == "queue":
            await _start_workflow(claim, handover_no=handover_no, next_step=next_step)
        return Executed(outcome=outcome.kind, next_step=next_step, handover_no=handover_no)


def _wrong(error: ValidationError) -> str:
    """What is wrong where, without what stands there: that may be somebody's credential."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)[:2000]


async def _interruptible(manager: ThreadManager, interruption: Interruption, budget: Budget) -> Outcome:
    """Advance until the run ends, ``budget`` does, or something interrupts; what has begun is then closed."""
    task = asyncio.create_task(manager.advance(budget))
    interruption.guard(task)
    try:
        return await task
    except asyncio.CancelledError:
        if interruption.lost:
            await manager.lose()
            raise LeaseLostError from None
        if interruption.stop is not None:
            await manager.cut_off("stopped")
            return Outcome("stopped", error=stop_error(interruption.stop))
        if not interruption.drained:
            raise
        await manager.abandon()
        return Outcome("out_of_time")
    finally:
        task.cancel()


async def _start_workflow(claim: Claim, *, handover_no: int, next_step: NextStep) -> None:
    """Start the execution that is named by run and hand-over; one that exists already is this one.

    Raises:
        WorkflowUnavailableError: Step Functions is away, or refuses for now.
    """
    client = await clients.step_functions()
    try:
        await client.start_execution(
            stateMachineArn=queue_settings().workflow_arn,
            name=f"{claim.agent_run_id}-{handover_no}",
            input=json.dumps(
                {
                    "agent_run_id": str(claim.agent_run_id),
                    "thread_id": str(claim.thread_id),
                    "account_id": claim.account_id,
                    "request_id": ids().get("request_id"),
                    "handover_no": handover_no,
                    "next": next_step,
                }
            ),
        )
    except RefusedError:
        logger.info("the workflow was started already")
