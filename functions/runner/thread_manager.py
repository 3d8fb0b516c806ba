"""The agent loop over one thread: build the context, let the model answer, execute what it calls, again.

The messages are the checkpoint: where a run stands is read from them, so another attempt, or the workflow, goes on
exactly there.
"""

import asyncio
from uuid import uuid4

from functions.runner.agent import Agent
from functions.runner.budget import Budget
from functions.runner.images import Images
from functions.runner.model_call import FAILURES, Attempt, Failure, attempts, models_of
from functions.runner.outcome import Outcome
from functions.runner.pending_calls import PendingCalls
from functions.runner.tool_execution import ToolExecutor
from functions.runner.transcript import Transcript
from functions.runner.turn import Turn, TurnEnd
from shared import events, provider_errors
from shared.context import admission
from shared.context.charging import Charging
from shared.context.manager import Context, ContextManager
from shared.database import budgets, connection, messages, tool_executions
from shared.domain import Claim, Json
from shared.llm import Llm, usage_of
from shared.message_ids import new_message_id
from shared.prices import Prices
from shared.stream.publisher import Publisher
from shared.telemetry import logger

# What the model is told to go on with, after an answer that was cut off at its length. It is not kept.
_CONTINUE: Json = {"role": "user", "content": "continue"}

_ANEW: Json = {"code": "out_of_time", "message": "the answer is begun anew"}

# An answer that ended so is not the run's last one.
_TO_GO_ON = frozenset({"length", "error"})


class ThreadManager:
    """Advances one claimed run."""

    def __init__(
        self, claim: Claim, *, agent: Agent, llm: Llm, context_manager: ContextManager, publisher: Publisher
    ) -> None:
        self._claim = claim
        self._agent = agent
        self._llm = llm
        self._context_manager = context_manager
        self._publisher = publisher
        self._transcript = Transcript(claim, xml_adding_strategy=agent.config.processor.xml_adding_strategy)
        self._executor = ToolExecutor(
            claim, config=agent.config, registry=agent.registry, transcript=self._transcript, publisher=publisher
        )
        self._pending = PendingCalls(claim, agent=agent, executor=self._executor, transcript=self._transcript)
        self._images = Images(claim)
        self._prices = Prices(llm.model_prices)
        self._charges = Charging(self._prices)
        self._turn: Turn | None = None
        self._tool_tokens: int | None = None
        self._told_left_out = False
        # Whether a summary should be prepared once the run has ended, so that the next run need not wait for it.
        self.near_budget = False

    async def advance(self, budget: Budget) -> Outcome:
        """Go on with the run until it ends, or ``budget`` does, or its context is full.

        Raises:
            LeaseLostError: the run is somebody else's by now; nothing was written since.
        """
        config = self._agent.config
        left_s = config.limits.run_s - self._claim.running_s
        limit = asyncio.timeout(max(0.0, left_s))
        try:
            async with limit:
                return await self._within_budget(budget)
        except TimeoutError:
            if not limit.expired():
                raise
            await self.cut_off("timed_out")
            message = f"the run has lasted longer than its limit of {config.limits.run_s:g} s"
            return Outcome("timed_out", error={"code": "timed_out", "message": message})
        finally:
            # Whatever ends an advance ends its tools: nothing may go on for a run that somebody else holds.
            await self._executor.cancel()

    async def _within_budget(self, budget: Budget) -> Outcome:
        """The same, until the function's time ends in the middle of something."""
        limit = asyncio.timeout(budget.left_s)
        try:
            async with limit:
                return await self._loop(budget)
        except TimeoutError:
            if not limit.expired():
                raise
            await self.abandon()
            return Outcome("out_of_time")

    async def cut_off(self, reason: str) -> None:
        """End in the middle, for good: what the model has said so far is kept."""
        await self._executor.cancel()
        if self._turn is not None:
            await self._turn.cut_off(reason)
            self._turn = None

    async def abandon(self, error: Json = _ANEW) -> None:
        """End in the middle, to be gone on with by another executor, or by nobody. ``error``: what clients are told."""
        if self._turn is not None:
            await self._turn.abandon(error)
            self._turn = None

    async def lose(self) -> None:
        """End in the middle, for the run is somebody else's: nothing is said any more; what was spent is charged."""
        if self._turn is not None:
            await self._turn.lose()
            self._turn = None

    async def _loop(self, budget: Budget) -> Outcome:
        self._executor.budget = budget
        outcome = await self._resume()
        while outcome is None:
            if budget.low:
                return Outcome("out_of_time")
            self._executor.fresh = False
            outcome = await self._step()
        return outcome

    async def _resume(self) -> Outcome | None:
        """Do what an earlier attempt, or an earlier run, has left undone; an outcome if that ends the run."""
        outcome = await self._pending.resolve()
        if outcome is not None or self._claim.attempt == 1:
            return outcome
        claim = self._claim
        async with connection() as taken:
            last = await messages.last_of_run(
                taken, thread_id=claim.thread_id, run_number=claim.number, agent_run_id=claim.agent_run_id
            )
            if last is None or last.type == "user":
                return None
            calls = await tool_executions.of_message(taken, assistant_message_id=last.assistant_message_id)
        if last.type == "assistant" and not calls and last.metadata.get("finish_reason") not in _TO_GO_ON:
            return Outcome("completed")
        return self._agent.outcome_of_calls([call for call in calls if call.result and call.result["success"]])

    async def _step(self) -> Outcome | None:
        """One answer of the model and the tools it calls; an outcome if the run ends here."""
        ended, cut = await self._limit_reached()
        if ended is not None:
            return ended
        context = await self._context()
        if context.over_budget:
            return Outcome("needs_summary")
        given = await self._images.shown(context.messages)
        end = await self._answer([*given, _CONTINUE] if cut else given, tokens=context.tokens)
        if end.failure is not None:
            # The provider may count differently.
            if end.failure.overflow and await self._context_manager.overflowed(self._claim, context):
                return Outcome("needs_summary")
            return Outcome("failed", error=end.failure.error)
        if end.response.reported is not None:
            reported = usage_of(end.response.reported)["input_tokens"]
            self._context_manager.learn(end.model, counted=context.tokens, reported=reported)
        if end.contexts:
            return await self._pending.execute(end.contexts)
        # Without `execute_tools` the calls are the client's to execute, and the run ends with them.
        goes_on = end.response.finish_reason == "length" and not end.response.calls
        return None if goes_on else Outcome("completed")

    async def _limit_reached(self) -> tuple[Outcome | None, int]:
        """An outcome if the run may not go on; how many of its last answers were cut off at their length."""
        claim, limits = self._claim, self._agent.config.limits
        async with connection() as taken:
            turns, cut = await messages.turns(
                taken, thread_id=claim.thread_id, run_number=claim.number, agent_run_id=claim.agent_run_id
            )
            spending = await budgets.of_run(
                taken, account_id=claim.account_id, thread_id=claim.thread_id, run_number=claim.number
            )
        self._executor.most_calls = spending.max_answer_tool_calls
        if cut > limits.max_auto_continues:
            return Outcome("completed"), cut
        if turns - cut >= limits.max_turns:
            message = f"the run has taken {turns} turns, its limit is {limits.max_turns}"
            return Outcome("failed", error={"code": "max_turns", "message": message}), cut
        config = self._agent.config
        models = models_of(config, default_model=self._llm.default_model)
        error = admission.problem(spending, models, provider_key=config.provider_key, prices=self._prices)
        return (None if error is None else Outcome("failed", error=error)), cut

    async def _context(self) -> Context:
        model = self._agent.config.model or self._llm.default_model
        if self._tool_tokens is None:
            # Beside the loop: how much there is to count is the choice of servers that a tenant names.
            self._tool_tokens = await asyncio.to_thread(self._agent.tool_tokens, model)
        context = await self._context_manager.build(
            self._claim,
            model=model,
            system=self._agent.system_prompt,
            extra_tokens=self._tool_tokens,
            summarize=self._agent.config.enable_context_manager,
        )
        self.near_budget = context.near_budget
        if context.left_out and not self._told_left_out:
            self._told_left_out = True
            payload = {"messages": context.left_out, "tokens": context.tokens}
            await self._publisher.publish(events.custom(self._claim.agent_run_id, "context_left_out", payload))
        return context

    async def _answer(self, given: list[Json], *, tokens: int) -> TurnEnd:
        """Let the model answer what it is given, of so many tokens: retries with backoff, then the fallback models."""
        end: TurnEnd | None = None
        tries = attempts(self._agent.config, default_model=self._llm.default_model)
        dead_models: set[str] = set()
        for attempt in tries:
            if attempt.model in dead_models:
                continue
            await asyncio.sleep(attempt.backoff_s)
            end = await self._try(attempt, given, tokens)
            if end.failure is None or end.contexts:
                break
            if not end.failure.passing:
                dead_models.add(attempt.model)
        assert end is not None, "there is always a first model"  # noqa: S101
        return end

    async def _try(self, attempt: Attempt, given: list[Json], tokens: int) -> TurnEnd:
        turn = Turn(
            self._claim,
            agent=self._agent,
            model=attempt.model,
            message_id=new_message_id(),
            thread_run_id=uuid4(),
            publisher=self._publisher,
            transcript=self._transcript,
            executor=self._executor,
            charges=self._charges,
            prompt_tokens=tokens,
        )
        self._turn = turn
        try:
            end = await turn.run(self._llm, given)
        except FAILURES as error:
            failure = Failure.of(error, in_full=self._llm.shows_errors)
            fields = {**provider_errors.logged(error), "code": failure.error["code"]}
            logger.warning("the model failed", extra={"model": attempt.model, **fields})
            end = await turn.fail(failure)
        self._turn = None
        return end
