"""One of everything that an account has."""

from typing import Any
from uuid import UUID, uuid4

from shared.agent_config import AgentConfig
from shared.database import api_keys, assistants, connection, files, messages, transaction, webhooks
from shared.database.files import File
from shared.domain import Message
from tests.integration.databases import Database


class Owned:
    """A thread, with a run, its webhook, a message and a call that waits for approval; an assistant and an API key."""

    def __init__(self, thread_id: UUID, agent_run_id: UUID, account_id: str) -> None:
        self.thread_id, self.agent_run_id, self.account_id = thread_id, agent_run_id, account_id
        self.assistant_id = uuid4()
        self.message_id = uuid4()
        self.key_id = uuid4()
        self.file_id = uuid4()


async def own(database: Database, account_id: str) -> Owned:
    """Make all of it."""
    thread_id = await database.new_thread(account_id)
    owned = Owned(thread_id, await database.new_run(thread_id), account_id)
    await insert(owned, "hello", run_number=1, message_id=owned.message_id)
    async with transaction() as taken:
        await assistants.create(
            taken,
            assistant_id=owned.assistant_id,
            account_id=account_id,
            name="mine",
            description=None,
            config=AgentConfig(),
            metadata={},
        )
        await webhooks.insert(taken, agent_run_id=owned.agent_run_id, account_id=account_id, url="https://example.com/")
        await api_keys.create(
            taken,
            key_id=owned.key_id,
            account_id=account_id,
            sha256=b"x" * 32,
            name="laptop",
            scopes=["read"],
            expires_at=None,
        )
        file = File(
            thread_id=thread_id, account_id=account_id, name="a", content_type="b", size=1, file_id=owned.file_id
        )
        await files.insert(taken, file)
    await database.connection.execute(
        """
        INSERT INTO tool_executions (agent_run_id, call_id, thread_id, account_id, assistant_message_id, call_index,
            name, arguments, form, status)
        VALUES ($1, 'call-1', $2, $3, $4, 0, 'add', '{}', 'native', 'awaiting')
        """,
        owned.agent_run_id,
        thread_id,
        account_id,
        owned.message_id,
    )
    return owned


async def insert(owned: Owned, text: str, *, run_number: int, **more: Any) -> Message:
    """A message of the owned thread."""
    async with connection() as taken:
        return await messages.insert(
            taken,
            thread_id=owned.thread_id,
            account_id=owned.account_id,
            run_number=run_number,
            **{"message_id": uuid4(), "type": "user", "content": {"role": "user", "content": text}, **more},
        )
