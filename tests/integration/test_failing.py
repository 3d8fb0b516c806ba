"""Ending a run that nobody holds: the database, the log and the thread's next run all hear of it."""

import json
from typing import Any
from uuid import UUID

import pytest

from shared import events
from shared.aws.queue import RunMessage
from shared.runs.failing import fail_handed_over
from shared.stream import log
from tests.integration import opened
from tests.integration.databases import Database
from tests.integration.queues import Queues
from tests.ports import free_port
from tests.thread_logs import hold_of, log_in_database

pytestmark = pytest.mark.usefixtures("subscriptions_table")

ERROR = {"code": "workflow_failed", "message": "the workflow failed"}
HANDED_OVER = {"status": "'running'", "executor": "'workflow'", "handover_no": "1", "attempt": "1"}


@pytest.fixture
async def message(database: Database, queues: Queues, account_id: str) -> RunMessage:
    """A handed-over run that nobody holds; another one waits behind it."""
    thread_id = await database.new_thread(account_id)
    agent_run_id = await database.new_run(thread_id, **HANDED_OVER)
    await database.new_run(thread_id)
    return RunMessage(agent_run_id=agent_run_id, thread_id=thread_id, account_id=account_id)


async def _fail(message: RunMessage) -> None:
    await fail_handed_over(message, handover_no=1, error=ERROR)


async def _ended(database: Database, queues: Queues, message: RunMessage, *, settled: bool = True) -> None:
    row = await database.run(message.agent_run_id)
    assert (row["status"], json.loads(row["error"])) == ("failed", ERROR)
    assert (row["settled_at"] is not None) == settled
    [following] = await queues.visible("runs")
    assert (await database.run(following.agent_run_id))["number"] == 2


async def _logged(thread_id: UUID) -> list[Any]:
    return [
        json.loads(entry.frame) for entry in await log.read(await log_in_database(thread_id), after_seq=0, limit=10)
    ]


async def test_its_end_is_recorded_told_and_settled(database: Database, queues: Queues, message: RunMessage) -> None:
    await _fail(message)
    await _ended(database, queues, message)
    [told] = await _logged(message.thread_id)
    assert told["seq"] == (await database.thread(message.thread_id))["last_seq"] == 1
    assert told["params"]["data"] == {"event": "failed", "error": "workflow_failed: the workflow failed"}


async def test_a_second_failure_changes_nothing(database: Database, queues: Queues, message: RunMessage) -> None:
    await _fail(message)
    before = await database.run(message.agent_run_id)
    await _fail(message)
    assert await database.run(message.agent_run_id) == before
    assert len(await _logged(message.thread_id)) == 1


async def test_a_newer_holder_of_the_log_does_not_keep_it_from_ending(
    database: Database, queues: Queues, message: RunMessage
) -> None:
    # GIVEN a log that somebody of a newer epoch writes already
    where = await log_in_database(message.thread_id)
    newer = events.number(events.custom(message.agent_run_id, "x", {}), generation=where.generation, seq=500)
    await log.append(hold_of(where, epoch=99), [newer], expected_seq=0, proved=True)
    # THEN the run ends all the same, and nobody waits for an event that is refused
    await _fail(message)
    await _ended(database, queues, message, settled=False)
    assert [frame["seq"] for frame in await _logged(message.thread_id)] == [500]


async def test_it_ends_while_redis_is_away(
    database: Database, queues: Queues, message: RunMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened.close_redis()
    with monkeypatch.context() as patch:
        patch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
        opened.forget_settings()
        await _fail(message)
        await opened.close_redis()
    opened.forget_settings()
    await _ended(database, queues, message, settled=False)
    assert await _logged(message.thread_id) == []
