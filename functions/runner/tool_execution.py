"""Executing the calls of one answer: in sequence or in parallel, while it streams or after it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from functions.runner.budget import Budget
from functions.runner.calls.model import ToolCall
from functions.runner.tools.function import ToolContext, ToolFunction
from functions.runner.tools.invoke import invoke
from functions.runner.tools.registry import ToolRegistry
from functions.runner.tools.result import ToolResult
from functions.runner.transcript import Transcript
from shared import events
from shared.agent_config import AgentConfig
from shared.database.tool_executions import ToolExecution
from shared.domain import Claim
from shared.stream.publisher import Publisher
from shared.telemetry import logger

# Of one run at a time: what else runs in the process has its turn, too, and so have those whom tools ask.
MOST_AT_ONCE = 8


@dataclass
class ToolExecutionContext:
    """One execution: its call, what came of it, how long it took (seconds)."""

    execution: ToolExecution
    function: ToolFunction | None
    problem: str | None = None
    result: ToolResult | None = None
    error: BaseException | None = None
    began_at: float = 0.0
    duration_s: float = 0.0
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def left(self) -> bool:
        """Whether it is for another executor: it has no result, and waits for nobody's approval."""
        return self.result is None and self.execution.status != "awaiting"


class ToolExecutor:
    """Executes tools for one claimed run, and tells its subscribers."""

    def __init__(
        self, claim: Claim, *, config: AgentConfig, registry: ToolRegistry, transcript: Transcript, publisher: Publisher
    ) -> None:
        self._claim = claim
        # Whose time it is, from the beginning of an advance.
        self.budget: Budget | None = None
        # Whether nothing has been done in it yet: no executor after this one would have more time.
        self.fresh = True
        self._config = config
        self._registry = registry
        self._transcript = transcript
        self._publisher = publisher
        # Of one answer, by the account's plan, as whoever lets a model answer has looked it up.
        self.most_calls: int | None = None
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        # Results are told and kept one at a time, whichever tools finish at once.
        self._telling = asyncio.Lock()
        self._launched: list[asyncio.Task[None]] = []

    def context_of(self, execution: ToolExecution, call: ToolCall | None = None) -> ToolExecutionContext:
        """How a call is executed; an unknown tool or a malformed call has a problem in place of a function."""
        function = self._registry.get(execution.name)
        problem = call.problem if call is not None else None
        if problem is None and function is None:
            there_are = ", ".join(self._registry.names()) or "none"
            problem = f"There is no tool {execution.name!r}. The tools are: {there_are}."
        if self._is_beyond(execution.call_index):
            problem = (
                f"This call was not executed: it is number {execution.call_index + 1} of one answer, and"
                f" {self.most_calls} are executed. Call again, in an answer with fewer calls, if it is still needed."
            )
        return ToolExecutionContext(execution, function, problem)

    def needs_approval(self, call: ToolCall, call_index: int) -> bool:
        """Whether a person has to approve the call, the answer's ``call_index``-th, first."""
        function = self._registry.get(call.name)
        return (
            not self._is_beyond(call_index)
            and call.problem is None
            and function is not None
            and function.needs_approval
        )

    def _is_beyond(self, call_index: int) -> bool:
        return self.most_calls is not None and call_index >= self.most_calls

    def begins_at_once(self, context: ToolExecutionContext) -> bool:
        """Whether :meth:`launch` would execute it now: there is room, and time."""
        working = sum(not task.done() for task in self._launched)
        return working < MOST_AT_ONCE and self._has_time(context)

    def _has_time(self, context: ToolExecutionContext) -> bool:
        """Whether it may be begun: one that may not be repeated only if it can end before its executor has to.

        An executor's first calls are begun all the same: whoever comes next would have no more time for them.
        """
        function, budget = context.function, self.budget
        if budget is None or context.problem is not None or function is None:
            return True
        if budget.low:
            return False
        return function.idempotent or self.fresh or self._longest_s(function) <= budget.left_s

    def _longest_s(self, function: ToolFunction) -> float:
        return min(function.timeout_s, self._config.limits.tool_call_s)

    def launch(self, context: ToolExecutionContext, *, after: ToolExecutionContext | None = None) -> None:
        """Begin to execute, once ``after`` is done; its row says ``started`` already, or does so first.

        What there is no time for then stays pending: the next executor begins it.
        """

        async def execute() -> None:
            if after is not None and after.task is not None:
                await asyncio.wait([after.task])
                if after.left:
                    return
            async with self._room:
                if context.execution.status == "started" or self._has_time(context):
                    await self._execute(context)

        context.task = asyncio.create_task(execute())
        self._launched.append(context.task)

    async def run_pending(self, contexts: Sequence[ToolExecutionContext]) -> None:
        """Execute what is not launched yet, by the configured strategy, as far as there is time."""
        parallel = self._config.processor.tool_execution_strategy == "parallel"
        for context in contexts:
            if context.task is not None or context.result is not None or context.execution.status == "awaiting":
                continue
            self.launch(context)
            if not parallel:
                await self._done(context)
                if context.left:
                    return

    async def answer(self, contexts: Sequence[ToolExecutionContext]) -> None:
        """Wait for the results of launched calls, and put the results that are there among the messages.

        Providers want the results of native calls directly behind their message, so they come before those of XML
        calls, each in the order of the calls; while a native call of a message has no result, its XML calls wait.
        """
        for context in contexts:
            if context.task is not None:
                await self._done(context)
        native = [context for context in contexts if context.execution.form == "native"]
        waiting = {context.execution.assistant_message_id for context in native if context.result is None}
        xml = [
            context
            for context in contexts
            if context.execution.form == "xml" and context.execution.assistant_message_id not in waiting
        ]
        results = [(context.execution, context.result) for context in (*native, *xml) if context.result is not None]
        if results:
            await self._transcript.answer(results)
            await self._publisher.facts()

    async def cancel(self) -> None:
        """Cancel what still executes."""
        launched, self._launched = self._launched, []
        for task in launched:
            task.cancel()
        await asyncio.gather(*launched, return_exceptions=True)

    async def _done(self, context: ToolExecutionContext) -> None:
        assert context.task is not None, "launched first"  # noqa: S101
        await context.task

    async def _execute(self, context: ToolExecutionContext) -> None:
        if context.execution.status != "started":
            context.execution = await self._transcript.start(context.execution)
        execution = context.execution
        await self._publisher.publish(
            events.tool_started(
                self._claim.agent_run_id, execution.call_id, name=execution.name, arguments=execution.arguments
            )
        )
        context.began_at = time.monotonic()
        if context.problem is not None or context.function is None:
            result = ToolResult(success=False, output=context.problem or "")
        else:
            result = await invoke(
                context.function,
                execution.arguments,
                ToolContext(
                    call_id=execution.call_id,
                    agent_run_id=self._claim.agent_run_id,
                    thread_id=self._claim.thread_id,
                    account_id=self._claim.account_id,
                ),
                timeout_s=self._longest_s(context.function),
            )
        context.duration_s = time.monotonic() - context.began_at
        context.result = result
        self.fresh = False
        async with self._telling:
            # Recorded at once: a finished call is never repeated, even if its turn among the messages has not come.
            await self._transcript.finish(execution, result)
            context.execution = replace(execution, status="finished")
            await self._publisher.facts()
        logger.info(
            "tool executed",
            extra={"tool": execution.name, "success": result.success, "duration_s": round(context.duration_s, 3)},
        )
