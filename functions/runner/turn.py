"""One try of one answer: its message from ``message-start`` to its end, and the calls that begin in it.

What it has used is charged, however it ends: with its message, or, if none is kept of it, by itself.
"""

from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import UUID

from functions.runner.agent import Agent
from functions.runner.calls.model import ToolCall
from functions.runner.model_call import Failure, chunks_of, model_time
from functions.runner.response_processor import Response, ResponseProcessor
from functions.runner.tool_execution import ToolExecutionContext, ToolExecutor
from functions.runner.transcript import Transcript
from shared import events
from shared.context import charging
from shared.context.charging import Charging
from shared.database import budgets, transaction
from shared.database.tool_executions import ExecutionStatus, ToolExecution
from shared.domain import Claim, Json
from shared.llm import Llm
from shared.stream.publisher import Publisher

_EMPTY = Failure({"code": "model_empty", "message": "the model has answered nothing"}, passing=True)
_FILTERED = Failure(
    {"code": "content_filter", "message": "the provider's filter has withheld the answer"}, passing=False
)


@dataclass
class TurnEnd:
    """What came of a try: a response; the calls to execute (or executing already); or why it failed."""

    response: Response
    model: str
    contexts: list[ToolExecutionContext] = field(default_factory=list[ToolExecutionContext])
    failure: Failure | None = None


class Turn:
    """One try. ``run`` it; if that is interrupted, exactly one of ``fail``, ``abandon``, ``cut_off``, ``lose`` closes
    it."""

    def __init__(
        self,
        claim: Claim,
        *,
        agent: Agent,
        model: str,
        message_id: UUID,
        thread_run_id: UUID,
        publisher: Publisher,
        transcript: Transcript,
        executor: ToolExecutor,
        charges: Charging,
        prompt_tokens: int,
    ) -> None:
        """``prompt_tokens``: of what the model is given, as we count them."""
        self._claim = claim
        self._agent = agent
        self._model = model
        self._message_id = message_id
        self._thread_run_id = thread_run_id
        self._publisher = publisher
        self._transcript = transcript
        self._executor = executor
        self._charges = charges
        self._prompt_tokens = prompt_tokens
        # Whether a provider has been asked, and may do its work.
        self._asked = False
        self._counted_to = 0
        self._received_tokens = 0
        self._contexts: list[ToolExecutionContext] = []
        self._processor = ResponseProcessor(
            agent.config.processor,
            publisher,
            agent_run_id=claim.agent_run_id,
            message_id=message_id,
            schema_of=agent.schema_of,
            on_call=self._on_call,
        )

    async def run(self, llm: Llm, given: list[Json]) -> TurnEnd:
        """Stream the answer and keep it. Raises what the model's stream raises."""
        config = self._agent.config
        start = events.message_start(
            self._claim.agent_run_id,
            self._message_id,
            metadata={"thread_id": str(self._claim.thread_id), "model": self._model},
        )
        await self._publisher.publish(start)
        self._asked = True
        async with (
            model_time(config.limits.model_call_s, "the model has not ended its answer"),
            aclosing(
                chunks_of(llm, config=config, model=self._model, messages=given, tools=self._agent.native_schemas)
            ) as chunks,
        ):
            response = await self._processor.process(chunks)
        if response.empty:
            return await self.fail(_FILTERED if response.finish_reason == "content_filter" else _EMPTY)
        later = self._contexts_of_later(response.calls)
        usage = await self._keep([context.execution for context in later])
        self._contexts += later
        await self._publisher.publish(events.message_finish(self._claim.agent_run_id, usage))
        return TurnEnd(response, self._model, self._contexts)

    async def fail(self, failure: Failure) -> TurnEnd:
        """The model has failed. What began to execute stands, and so does the message up to there."""
        if failure.refused and not self._processor.response.received:
            self._asked = False
        if self._contexts:
            await self._processor.close()
            usage = await self._keep([], finish_reason="error")
            await self._publisher.publish(events.message_finish(self._claim.agent_run_id, usage))
            return TurnEnd(self._processor.response, self._model, self._contexts)
        await self.abandon(failure.error)
        return TurnEnd(Response(), self._model, failure=failure)

    async def abandon(self, error: Json) -> None:
        """Close the message; it is not kept, unless calls of it began: then it is what was kept with them."""
        await self._publisher.publish(events.message_error(self._claim.agent_run_id, **error))
        await self._executor.cancel()
        await self._charge_given_up()

    async def lose(self) -> None:
        """Charge what came of it; a message that was kept has its charge, and is not this attempt's any more."""
        if not self._contexts:
            await self._charge_given_up()

    async def cut_off(self, reason: str) -> None:
        """Keep what the model has said so far, and close the message."""
        await self._executor.cancel()
        await self._processor.close()
        if not self._processor.response.empty:
            # Every call that is kept needs a result, also one that has not begun: the model's provider demands it.
            known = {context.execution.call_id for context in self._contexts}
            executes = self._agent.config.processor.execute_tools
            calls = [call for call in self._processor.response.calls if executes and call.call_id not in known]
            usage = await self._keep([self._context(call, "pending").execution for call in calls], finish_reason=reason)
        else:
            usage = await self._charge_given_up()
        await self._publisher.publish(events.message_finish(self._claim.agent_run_id, usage))

    async def _charge(self) -> Json:
        """What the answer is charged with, so far."""
        response = self._processor.response
        if response.reported is not None:
            return self._charges.reported(self._model, response.reported)
        # An answer is kept with each call that begins in it: what has been counted is not counted again.
        end = len(response.received)
        new = "".join(response.received[self._counted_to : end])
        self._received_tokens += await charging.count(self._model, new)
        self._counted_to = end
        return self._charges.estimated(self._model, sent=self._prompt_tokens, received=self._received_tokens)

    async def _charge_given_up(self) -> Json | None:
        """Charge what will not be kept, or not as far as it has come; returns its usage."""
        if not self._asked:
            return None
        charge = await self._charge()
        if self._contexts:
            await self._transcript.charge(self._message_id, charge)
            return charge["usage"]
        async with transaction() as taken:
            await budgets.charge_unkept(
                taken,
                answer_id=self._message_id,
                account_id=self._claim.account_id,
                thread_id=self._claim.thread_id,
                run_number=self._claim.number,
                charge=charge,
            )
        return charge["usage"]

    def _contexts_of_later(self, calls: list[ToolCall]) -> list[ToolExecutionContext]:
        """The calls that are executed after the answer."""
        processor = self._agent.config.processor
        if not processor.execute_tools or processor.execute_on_stream:
            return []
        return [self._context(call, "pending") for call in calls]

    async def _on_call(self, response: Response, call: ToolCall) -> None:
        """A call is complete while the answer streams."""
        processor = self._agent.config.processor
        if not processor.execute_tools or not processor.execute_on_stream:
            return
        before = self._contexts[-1] if self._contexts and processor.tool_execution_strategy == "sequential" else None
        context = self._context(call, "pending")
        if before is None and context.execution.status == "pending" and self._executor.begins_at_once(context):
            context.execution = replace(context.execution, status="started")
        # Behind the call's end, what else has come of the text may be half a tag.
        await self._keep([context.execution], text_end=call.end)
        self._contexts.append(context)
        if context.execution.status != "awaiting":
            self._executor.launch(context, after=before)

    def _context(self, call: ToolCall, status: ExecutionStatus) -> ToolExecutionContext:
        call_index = self._processor.response.calls.index(call)
        execution = ToolExecution(
            agent_run_id=self._claim.agent_run_id,
            call_id=call.call_id,
            assistant_message_id=self._message_id,
            run_number=self._claim.number,
            call_index=call_index,
            name=call.name,
            arguments=call.arguments or {},
            form=call.form,
            status="awaiting" if self._executor.needs_approval(call, call_index) else status,
            result=None,
        )
        return self._executor.context_of(execution, call)

    async def _keep(
        self, begun: list[ToolExecution], *, finish_reason: str | None = None, text_end: int | None = None
    ) -> Json:
        """Keep the answer as far as it has come, charged as far; returns its usage."""
        response = self._processor.response
        charge = await self._charge()
        metadata: Json = {"model": self._model, "finish_reason": finish_reason or response.finish_reason, **charge}
        if response.reasoning:
            metadata["reasoning"] = response.reasoning
        if response.calls:
            metadata["tool_calls"] = [
                {"id": call.call_id, "name": call.name, "form": call.form} for call in response.calls
            ]
        await self._transcript.keep(
            self._message_id,
            content=response.content(text_end=text_end),
            metadata=metadata,
            thread_run_id=self._thread_run_id,
            begun=begun,
        )
        return charge["usage"]
