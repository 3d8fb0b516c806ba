"""What a run writes into its thread. Each method is one transaction that holds the run."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from functions.runner.tools.result import ToolResult
from shared.agent_config import XmlAddingStrategy
from shared.database import Connection, messages, tool_executions, tool_results
from shared.database.run_hold import holding, progressed
from shared.database.tool_executions import ToolExecution
from shared.domain import Claim, Json


class Transcript:
    """Writes the messages and tool executions of one claimed run.

    Every method raises ``LeaseLostError`` if the run is somebody else's by now; then nothing was written.
    """

    def __init__(self, claim: Claim, *, xml_adding_strategy: XmlAddingStrategy) -> None:
        self._claim = claim
        self._xml_adding_strategy: XmlAddingStrategy = xml_adding_strategy
        self._open: set[UUID] = set()
        # Interrupted before their transaction's end was known: it may have been committed.
        self._unknown: set[UUID] = set()

    async def keep(
        self,
        message_id: UUID,
        *,
        content: Json,
        metadata: Json,
        thread_run_id: UUID,
        begun: Sequence[ToolExecution] = (),
    ) -> None:
        """Keep the assistant's message as it is so far, together with the calls in it that begin now.

        So a call that may have had effects is always preceded, in the database, by the words that made it.
        """
        claim = self._claim
        is_unknown = message_id in self._unknown
        self._unknown.add(message_id)
        async with holding(claim) as connection:
            if is_unknown:
                known = await tool_executions.of_message(connection, assistant_message_id=message_id)
                begun_before = {execution.call_id for execution in known}
                begun = [execution for execution in begun if execution.call_id not in begun_before]
                if await messages.content(
                    connection, message_id=message_id, thread_id=claim.thread_id, account_id=claim.account_id
                ):
                    self._open.add(message_id)
            if message_id in self._open:
                await messages.replace(connection, message_id=message_id, content=content, metadata=metadata)
            else:
                await messages.insert(
                    connection,
                    message_id=message_id,
                    thread_id=claim.thread_id,
                    account_id=claim.account_id,
                    run_number=claim.number,
                    type="assistant",
                    content=content,
                    metadata=metadata,
                    agent_run_id=claim.agent_run_id,
                    thread_run_id=thread_run_id,
                )
            for execution in begun:
                await tool_executions.begin(
                    connection, execution, thread_id=claim.thread_id, account_id=claim.account_id
                )
            if not metadata.get("tool_calls"):
                await progressed(connection, claim)
        self._open.add(message_id)
        self._unknown.discard(message_id)

    async def charge(self, message_id: UUID, charge: Json) -> None:
        """Charge a message that is kept no further than it is with all that its answer has come to."""
        async with holding(self._claim) as connection:
            await messages.charge(connection, message_id=message_id, charge=charge)

    async def unanswered(self) -> list[ToolExecution]:
        """The thread's calls whose results do not stand among its messages yet."""
        claim = self._claim
        async with holding(claim) as connection:
            return await tool_executions.unanswered(connection, thread_id=claim.thread_id, account_id=claim.account_id)

    async def start(self, execution: ToolExecution) -> ToolExecution:
        """A call that was pending, or awaited approval and has it, starts."""
        async with holding(self._claim) as connection:
            await tool_executions.start(
                connection, assistant_message_id=execution.assistant_message_id, call_id=execution.call_id
            )
        return replace(execution, status="started")

    async def finish(self, execution: ToolExecution, result: ToolResult) -> None:
        """Record what a tool has come to, which has to wait for its turn among the messages; with it, what subscribers
        are told. An executor that has got so far has not died of it.
        """
        async with holding(self._claim) as connection:
            await self._finish(connection, execution, result)
            await progressed(connection, self._claim)

    async def answer(self, results: Sequence[tuple[ToolExecution, ToolResult]]) -> None:
        """Record results and put them among the messages, in this order."""
        async with holding(self._claim) as connection:
            for execution, result in results:
                await self._finish(connection, execution, result)
                await self._insert_result(connection, execution, result)

    async def _finish(self, connection: Connection, execution: ToolExecution, result: ToolResult) -> None:
        await tool_results.finish(
            connection,
            execution,
            agent_run_id=self._claim.agent_run_id,
            thread_id=self._claim.thread_id,
            success=result.success,
            output=result.output,
        )

    async def _insert_result(self, connection: Connection, execution: ToolExecution, result: ToolResult) -> None:
        await tool_results.put_among_messages(
            connection,
            execution,
            thread_id=self._claim.thread_id,
            account_id=self._claim.account_id,
            success=result.success,
            text=result.text(),
            xml_adding_strategy=self._xml_adding_strategy,
        )
