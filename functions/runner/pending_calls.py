"""Calls without an answer: of the answer just given, of an attempt that died, of a run that waits for a person."""

from collections.abc import Sequence
from dataclasses import replace

from functions.runner.agent import Agent
from functions.runner.outcome import Outcome
from functions.runner.tool_execution import ToolExecutionContext, ToolExecutor
from functions.runner.tools.result import ToolResult
from functions.runner.transcript import Transcript
from shared.database import connection, plans
from shared.database.tool_executions import ToolExecution
from shared.database.tool_results import DECLINED, PASSED_OVER, unknown_outcome
from shared.domain import Claim, Json

_UNKNOWN = ToolResult(success=False, output=unknown_outcome("the process that executed it died"))
_DECLINED = ToolResult(success=False, output=DECLINED)
_PASSED_OVER = ToolResult(success=False, output=PASSED_OVER)


class PendingCalls:
    """Brings every call to its answer."""

    def __init__(self, claim: Claim, *, agent: Agent, executor: ToolExecutor, transcript: Transcript) -> None:
        self._claim = claim
        self._agent = agent
        self._executor = executor
        self._transcript = transcript

    async def execute(self, contexts: Sequence[ToolExecutionContext]) -> Outcome | None:
        """Execute the calls of an answer, but for those that await approval; an outcome if the run ends with them."""
        await self._executor.run_pending(contexts)
        await self._executor.answer(contexts)
        if any(context.left for context in contexts):
            return Outcome("out_of_time")
        awaiting = [
            context.execution
            for context in contexts
            if context.execution.status == "awaiting" and context.result is None
        ]
        if awaiting:
            return _needs_approval(awaiting)
        succeeded = [
            context.execution
            for context in contexts
            if context.result is not None
            and context.result.success
            # What a call of an earlier run has ended, if it was not executed just now, is that run.
            and (context.task is not None or context.execution.agent_run_id == self._claim.agent_run_id)
        ]
        return self._agent.outcome_of_calls(succeeded)

    async def resolve(self) -> Outcome | None:
        """At the beginning of an advance: answer what others have left; an outcome if the run ends with it.

        A finished call is never repeated. One that had started is repeated if its tool is idempotent, else the model
        is told that its outcome is unknown. One that awaits approval is executed, declined or passed over, as the
        run's ``resume`` says.
        """
        unanswered = await self._transcript.unanswered()
        if unanswered:
            async with connection() as taken:
                self._executor.most_calls = await plans.answer_tool_calls(taken, account_id=self._claim.account_id)
        contexts = [self._executor.context_of(execution) for execution in unanswered]
        for context in contexts:
            execution = context.execution
            match execution.status:
                case "finished":
                    context.result = _result(execution.result)
                case "started" if context.function is None or not context.function.idempotent:
                    context.result = _UNKNOWN
                case "awaiting" if execution.agent_run_id == self._claim.agent_run_id:
                    pass
                case "awaiting" if not self._agent.resume.get(execution.call_id, False):
                    declined = execution.call_id in self._agent.resume
                    context.result = _DECLINED if declined else _PASSED_OVER
                case "awaiting":
                    context.execution = replace(execution, status="pending")  # approved
                case _:
                    pass
        return await self.execute(contexts) if contexts else None


def _result(stored: Json | None) -> ToolResult:
    stored = stored or {}
    return ToolResult(success=bool(stored.get("success")), output=stored.get("output", ""))


def _needs_approval(awaiting: Sequence[ToolExecution]) -> Outcome:
    return Outcome(
        "needs_input",
        interrupts=[
            (execution.call_id, {"type": "approval", "tool": execution.name, "arguments": execution.arguments})
            for execution in awaiting
        ],
    )
