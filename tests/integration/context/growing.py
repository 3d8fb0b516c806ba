"""A thread that grows turn by turn, as the runner would write it."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from shared.database import messages, transaction
from shared.domain import Claim, Json, Message, MessageType
from shared.runs import transitions
from tests.integration.databases import LEASE_S, Database


class GrowingThread:
    """Runs and their messages; ``claim`` is that of the newest run."""

    def __init__(self, database: Database, thread_id: UUID, account_id: str) -> None:
        self.database = database
        self.thread_id = thread_id
        self.account_id = account_id
        self._claim: Claim | None = None

    @property
    def claim(self) -> Claim:
        assert self._claim is not None
        return self._claim

    def forget_claim(self) -> None:
        """The newest run has been ended by the test."""
        self._claim = None

    async def run(self, question: Any) -> Claim:
        """Start the next run with a user's message, the one before ended."""
        if self._claim is not None:
            await transitions.finish(self._claim, status="completed", error=None, last_seq=self._claim.last_seq)
        run_id = await self.database.new_run(self.thread_id)
        claim = await transitions.claim(
            agent_run_id=run_id, account_id=self.account_id, executor="queue", lease_s=LEASE_S
        )
        assert claim is not None
        self._claim = replace(claim)
        await self.say("user", question)
        return claim

    async def say(self, kind: MessageType, content: Any, *, role: str | None = None, **more: Any) -> Message:
        """The running run's next message."""
        roles = {"user": "user", "assistant": "assistant", "tool": "tool", "system": "system"}
        return await self.write(kind, {"role": role or roles[kind], "content": content, **more})

    async def write(self, kind: MessageType, content: Json) -> Message:
        """The same, as it is."""
        async with transaction() as connection:
            return await messages.insert(
                connection,
                message_id=uuid4(),
                thread_id=self.thread_id,
                account_id=self.account_id,
                run_number=self.claim.number,
                type=kind,
                content=content,
                agent_run_id=self.claim.agent_run_id,
            )

    async def call_tool(self, result: str, *, results: int = 1) -> list[Message]:
        """An answer that calls a tool, and its results."""
        ids = [f"call-{uuid4().hex[:8]}" for _ in range(results)]
        calls = [
            {"id": call_id, "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}}
            for call_id in ids
        ]
        written = [await self.write("assistant", {"role": "assistant", "content": None, "tool_calls": calls})]
        for call_id in ids:
            written.append(await self.say("tool", result, tool_call_id=call_id, name="search"))
        return written

    async def turns(self, count: int, *, length: int = 300) -> None:
        """So many runs, each a question and an answer of ``length`` characters."""
        for _ in range(count):
            await self.run(words(length))
            await self.say("assistant", words(length))

    async def import_messages(self, count: int, *, length: int) -> None:
        """Many messages at once, in runs of ten, before the next run."""
        await self.database.connection.execute(
            """
            INSERT INTO messages (message_id, thread_id, account_id, run_number, position, type, content)
            SELECT gen_random_uuid(), $1, $2, 1 + place / 10, place % 10,
                CASE WHEN place % 2 = 0 THEN 'user' ELSE 'assistant' END,
                jsonb_build_object(
                    'role', CASE WHEN place % 2 = 0 THEN 'user' ELSE 'assistant' END,
                    'content', 'message ' || place || ': ' || left(repeat(md5(place::text) || ' word ', $4), $4)
                )
            FROM generate_series(0, $3 - 1) AS place
            """,
            self.thread_id,
            self.account_id,
            count,
            length,
        )
        await self.database.connection.execute(
            "UPDATE threads SET last_run_number = $2 WHERE thread_id = $1", self.thread_id, 1 + count // 10
        )

    async def summaries(self) -> list[Any]:
        """The thread's summaries, oldest first, void ones too."""
        return await self.database.connection.fetch(
            "SELECT * FROM messages WHERE thread_id = $1 AND type = 'summary' ORDER BY created_at", self.thread_id
        )


def words(length: int) -> str:
    """Text of ``length`` characters."""
    return ("the quick brown fox jumps over the lazy dog " * (length // 44 + 1))[:length]


def spoken(context_messages: list[Json]) -> list[str]:
    """What the messages say, without a summary's frame."""
    return [str(message.get("content")) for message in context_messages]
