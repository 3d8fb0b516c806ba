"""An account that is to be deleted: something of everything, and what is left of it."""

import json
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from functions.api.watch import deletion
from functions.api.watch.deletion import look_after_deleted_log
from shared.agent_config import AgentConfig
from shared.aws.clients import dynamodb
from shared.aws.queue import AccountMessage, LogMessage
from shared.database import (
    api_keys,
    assistants,
    threads,
    transaction,
    waits,
    webhooks,
)
from shared.runs.record import NewMessage, append_message
from shared.runs.settle import Done
from shared.stream import control, subscriptions
from shared.stream.filters import Filter
from shared.stream.redis_client import redis
from shared.stream.subscriptions import ConnectionRecord
from tests.integration.databases import Database
from tests.thread_logs import log_in_database
from tests.traces import traces


@dataclass
class Account:
    """An account with something in every table, and the ids and generations of its threads."""

    database: Database
    account_id: str
    thread_ids: list[UUID] = field(default_factory=list[UUID])
    generations: list[UUID] = field(default_factory=list[UUID])

    async def fill(self) -> None:
        for _ in range(2):
            self.thread_ids.append(await self._thread())
        gone = await self._thread()
        async with transaction() as taken:
            # Its log is still there.
            await deletion.threads.delete(taken, thread_id=gone, account_id=self.account_id)
            await assistants.create(
                taken,
                assistant_id=uuid4(),
                account_id=self.account_id,
                name="mine",
                description=None,
                config=AgentConfig(),
                metadata={},
            )
            await api_keys.create(
                taken,
                key_id=uuid4(),
                account_id=self.account_id,
                sha256=uuid4().bytes * 2,
                name="laptop",
                scopes=frozenset({"read"}),
                expires_at=None,
            )
        await self.database.connection.execute(
            "INSERT INTO account_usage (account_id, day, tokens, cost_usd) VALUES ($1, '2026-01-01', 1, 0.1)",
            self.account_id,
        )
        await waits.take(self.database.connection, account_id=self.account_id, for_s=60)  # pyright: ignore[reportArgumentType]
        await self.database.connection.execute(
            "INSERT INTO sender_calls (account_id, thread_id) VALUES ($1, $2)", self.account_id, self.thread_ids[0]
        )
        await self.database.connection.execute(
            "INSERT INTO reader_calls (account_id, thread_id) VALUES ($1, $2)", self.account_id, self.thread_ids[0]
        )
        await self.database.connection.execute(
            "INSERT INTO idempotency_keys (account_id, route, key, body_hash, status) VALUES ($1, 'POST', 'k', '', 1)",
            self.account_id,
        )

    async def _thread(self) -> UUID:
        thread_id = await self.database.new_thread(self.account_id)
        said = NewMessage(type="assistant", content={"role": "assistant", "content": "hello"})
        message_id = await append_message(account_id=self.account_id, thread_id=thread_id, new=said)
        run_id = await self.database.new_run(thread_id, status="'completed'", ended_at="now()")
        async with transaction() as taken:
            await webhooks.insert(taken, agent_run_id=run_id, account_id=self.account_id, url="https://example.com")
        await self.database.connection.execute(
            """
            INSERT INTO tool_executions (agent_run_id, call_id, thread_id, account_id, assistant_message_id, call_index,
                name, arguments, form, status)
            VALUES ($1, 'call-1', $2, $3, $4, 0, 'add', '{}', 'native', 'pending')
            """,
            *(run_id, thread_id, self.account_id, message_id),
        )
        await self.database.connection.execute(
            "INSERT INTO unkept_answers (answer_id, thread_id, account_id, run_number, metadata)"
            """ VALUES ($1, $2, $3, 1, '{"usage": {"total_tokens": 1}}')""",
            *(uuid4(), thread_id, self.account_id),
        )
        await self.database.connection.execute(
            """
            INSERT INTO files (file_id, thread_id, account_id, name, content_type, size, object_key)
            VALUES ($1, $2, $3, 'a.txt', 'text/plain', 1, $4)
            """,
            *(file_id := uuid4(), thread_id, self.account_id, str(file_id)),
        )
        record = ConnectionRecord(
            connection_id=f"{uuid4().hex[:15]}=",
            account_id=self.account_id,
            thread_id=thread_id,
            opened_at=time.time(),
            credential_expires_at=2.0**32,
        )
        await subscriptions.put_connection(record)
        wanted = Filter(subscription_id=str(uuid4()), channels=frozenset({"messages"}))
        await subscriptions.add(record, wanted, since=0)
        log = await log_in_database(thread_id)
        self.generations.append(log.generation)
        await control.notify(log, "facts")
        return thread_id

    async def thread_is_gone(self) -> None:
        """Delete a thread, and let the watch look after what is left of it."""
        async with transaction() as taken:
            generation = await threads.delete(taken, thread_id=self.thread_ids.pop(), account_id=self.account_id)
        assert await look_after_deleted_log(LogMessage(generation=generation), age_s=0) == Done()

    @property
    def message(self) -> AccountMessage:
        return AccountMessage(account_id=self.account_id)

    async def left(self) -> dict[str, int]:
        """What is left, and where: tables, DynamoDB, Redis."""
        ids = [self.account_id, *(str(thread_id) for thread_id in self.thread_ids)]
        found = await traces(self.database.connection, *ids)
        client: Any = await dynamodb()
        pages = client.get_paginator("scan").paginate(TableName="subscriptions", ConsistentRead=True)
        items = [json.dumps(item) async for page in pages for item in page["Items"]]
        found["items"] = sum(any(one in item for one in ids) for item in items)
        found["keys"] = 0
        for generation in self.generations:
            names = [f"{{{generation}}}:{name}" for name in ("events", "fence", "control")]
            found["keys"] += await redis().exists(*names)
        return {where: count for where, count in found.items() if count}
