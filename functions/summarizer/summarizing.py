"""One step Summarize: under the run's lease, or after the run has ended.

Whatever comes of the summary, a run that is not over goes on with the step Advance: with a summary if there is one,
else without its oldest turns, which the context says.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shared import events
from shared.agent_config import AgentConfig, RunConfig
from shared.context import admission
from shared.context.manager import ContextManager
from shared.context.summaries import Summary, SummaryFailedError
from shared.database import budgets, connection, context
from shared.database.context import Scope
from shared.domain import Claim, Json, StopKind
from shared.errors import LeaseHeldError, LeaseLostError
from shared.prices import Prices
from shared.runs import transitions
from shared.runs.holding import holding_run
from shared.runs.lease import LeaseKeeper
from shared.runs.step import NextStep, Step
from shared.stream.publisher import Publisher
from shared.telemetry import logger

Result = Literal["summarised", "nothing_to_summarise", "summary_failed", "refused", "lease_lost"]

# In the function's last seconds no chunk is begun: a call that fails is repeated, and may then last for two minutes.
_LAST_CALL_S = 200.0


@dataclass(frozen=True, kw_only=True)
class Summarized:
    """What came of the step."""

    outcome: Result
    next_step: NextStep = "end"
    handover_no: int | None = None


class _Halt:
    """Why to begin no further call of the model: a stop, a lost lease, the function's time."""

    def __init__(self, *, remaining_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # A short-lived function still makes its first call.
        self._deadline = clock() + max(remaining_s - _LAST_CALL_S, remaining_s / 3)
        self._reason: str | None = None

    def on_lost(self) -> None:
        """The lease is gone, or a newer epoch writes the log."""
        self._reason = "the lease was lost"

    def on_stop(self, kind: StopKind) -> None:
        """A stop was requested: the next step ends the run."""
        self._reason = f"{kind} was requested"

    async def asked(self) -> bool:
        """Whether to halt."""
        if self._clock() >= self._deadline:
            self._reason = self._reason or "the function's time is over"
        if self._reason is not None:
            logger.info("no further call of the model", extra={"reason": self._reason})
        return self._reason is not None


class Summarizing:
    """Executes the step; one a process."""

    def __init__(
        self,
        *,
        context_manager: ContextManager,
        default_model: str,
        prices: Prices,
        keeper: LeaseKeeper,
        lease_s: float,
        wake_by_s: float,
    ) -> None:
        self._context_manager = context_manager
        self._default_model = default_model
        self._prices = prices
        self._keeper = keeper
        self._lease_s = lease_s
        self._wake_by_s = wake_by_s

    async def summarize(self, step: Step, *, remaining_s: float) -> Summarized:
        """Execute the step, whose function is ended in ``remaining_s``.

        Raises:
            LeaseHeldError: another executor holds the run.
        """
        claimed_at = time.monotonic()
        claim = await transitions.claim(
            agent_run_id=step.message.agent_run_id,
            account_id=step.message.account_id,
            executor="workflow",
            lease_s=self._lease_s,
            handover_no=step.handover_no,
        )
        halt = _Halt(remaining_s=remaining_s)
        if claim is None:
            return await self._unclaimed(step, halt)
        try:
            async with holding_run(
                claim, keeper=self._keeper, claimed_at=claimed_at, on_lost=halt.on_lost, on_stop=halt.on_stop
            ) as publisher:
                return await self._summarize(claim, publisher, halt)
        except LeaseLostError:
            logger.warning("the lease was lost")
            return Summarized(outcome="lease_lost")

    async def _summarize(self, claim: Claim, publisher: Publisher, halt: _Halt) -> Summarized:
        agent = _agent(claim.config)
        outcome: Result = "nothing_to_summarise"
        try:
            await self._admit(Scope.of(claim), agent)
            # By force: the run was handed over because its context is full, tools and system prompt included.
            summary = await self._context_manager.summarize(
                claim,
                model=agent.model or self._default_model,
                force=True,
                should_stop=halt.asked,
                provider_key=agent.provider_key,
            )
        except SummaryFailedError as error:
            logger.warning("there is no summary", extra={"error": error.message})
            outcome = "summary_failed"
        else:
            if summary is not None:
                outcome = "summarised"
                await publisher.publish(_event(claim, summary))
        async with publisher.closing() as last_seq:
            handover_no = await transitions.hand_over(claim, wake_by_s=self._wake_by_s, last_seq=last_seq)
        return Summarized(outcome=outcome, next_step="advance", handover_no=handover_no)

    async def _admit(self, scope: Scope, agent: AgentConfig) -> None:
        """See to it that the model may be asked for the run, as before its answers. Raises SummaryFailedError."""
        async with connection() as taken:
            spending = await budgets.of_run(
                taken, account_id=scope.account_id, thread_id=scope.thread_id, run_number=scope.number
            )
        problem = admission.problem(
            spending,
            [agent.model or self._default_model],
            provider_key=agent.provider_key,
            prices=self._prices,
        )
        if problem is not None:
            raise SummaryFailedError(problem["message"])

    async def _unclaimed(self, step: Step, halt: _Halt) -> Summarized:
        """The run is held, or is not this hand-over's any more, or has ended: then this prepares for the next one."""
        run_id = step.message.agent_run_id
        if await transitions.lease_held(agent_run_id=run_id, handover_no=step.handover_no):
            raise LeaseHeldError
        async with connection() as taken:
            ended = await context.ended_run(
                taken, agent_run_id=run_id, account_id=step.message.account_id, handover_no=step.handover_no
            )
        if ended is None:
            logger.info("not ours to summarise")
            return Summarized(outcome="refused")
        agent = _agent(ended.config)
        try:
            await self._admit(ended.scope, agent)
            summary = await self._context_manager.prepare(
                ended,
                model=agent.model or self._default_model,
                should_stop=halt.asked,
                provider_key=agent.provider_key,
            )
        except SummaryFailedError as error:
            logger.warning("there is no summary", extra={"error": error.message})
            return Summarized(outcome="summary_failed")
        return Summarized(outcome="nothing_to_summarise" if summary is None else "summarised")


def _agent(config: Json) -> AgentConfig:
    return RunConfig.model_validate(config).agent


def _event(claim: Claim, summary: Summary) -> events.Event:
    return events.custom(claim.agent_run_id, "summary", {"message_id": str(summary.summary_id), **summary.metadata})
