"""The agent loop over one thread: build the context, let the model answer, keep the answer."""

from uuid import UUID, uuid4

from functions.runner.budget import Budget
from functions.runner.outcome import Outcome
from functions.runner.response_processor import Response, ResponseProcessor
from shared.database import connection, messages
from shared.domain import Claim, Json
from shared.llm import MODEL_ERRORS, Llm, error_of
from shared.runs.transitions import holding
from shared.stream import events
from shared.stream.publisher import Publisher
from shared.telemetry import logger


class ThreadManager:
    """Advances one claimed run. The messages table is the checkpoint: nothing else has to survive."""

    def __init__(self, claim: Claim, *, llm: Llm, publisher: Publisher) -> None:
        self._claim = claim
        self._llm = llm
        self._publisher = publisher
        self._model = claim.model or llm.default_model

    async def advance(self, budget: Budget) -> Outcome:
        """Go on with the run until it ends or ``budget`` does.

        Raises:
            LeaseLostError: the run is somebody else's by now; nothing was written since.
        """
        if budget.left_s <= 0:
            return Outcome("out_of_time")
        return await self._turn()

    async def _turn(self) -> Outcome:
        """One call of the model."""
        claim = self._claim
        message_id = uuid4()
        await self._publisher.publish(
            events.message_start(
                claim.agent_run_id, message_id, metadata={"thread_id": str(claim.thread_id), "model": self._model}
            )
        )
        try:
            chunks = await self._llm.stream(model=self._model, messages=await self._context())
            processor = ResponseProcessor(self._publisher, agent_run_id=claim.agent_run_id)
            response = await processor.process(chunks)
        except MODEL_ERRORS as error:
            told = error_of(error)
            logger.warning("the model failed", extra={"model": self._model, "error": told})
            await self._publisher.publish(events.message_error(claim.agent_run_id, **told))
            return Outcome("failed", error=told)
        await self._keep(response, message_id)
        await self._publisher.publish(events.message_finish(claim.agent_run_id, response.usage))
        return Outcome("completed", usage=response.usage)

    async def _context(self) -> list[Json]:
        claim = self._claim
        async with connection() as taken:
            kept = await messages.context(
                taken, thread_id=claim.thread_id, account_id=claim.account_id, run_number=claim.number
            )
        return [message.content for message in kept]

    async def _keep(self, response: Response, message_id: UUID) -> None:
        claim = self._claim
        content: Json = {"role": "assistant", "content": response.text()}
        reasoning = response.text("reasoning")
        async with holding(claim) as taken:
            await messages.insert(
                taken,
                message_id=message_id,
                thread_id=claim.thread_id,
                account_id=claim.account_id,
                run_number=claim.number,
                type="assistant",
                content=content,
                metadata={
                    "model": self._model,
                    "finish_reason": response.finish_reason,
                    **({"usage": response.usage} if response.usage else {}),
                    **({"reasoning": reasoning} if reasoning else {}),
                },
                agent_run_id=claim.agent_run_id,
            )
