"""Runs, the messages that the watch function gets of them, and what it does then."""

import copy
import time
from typing import Any

from shared import events
from shared.aws.queue import RunMessage
from shared.database import facts
from shared.runs.settle import Done, LookAgain, Untold, look_at, tell
from tests.integration.databases import Database
from tests.integration.deployed import aws_event

LONG_AGO = "clock_timestamp() - interval '1 day'"
FAILED = {"status": "'failed'"}
ABANDONED = {"status": "'running'", "attempt": "1", "lease_expires_at": LONG_AGO}


async def watched_run(
    database: Database, account_id: str, columns: dict[str, str], *, owes: bool = False
) -> tuple[RunMessage, dict[str, Any]]:
    """A run, and its watch's record; ``owes``: its end is not in the log."""
    thread_id = await database.new_thread(account_id)
    agent_run_id = await database.new_run(thread_id, **columns)
    if owes:
        end = events.terminal(agent_run_id, "failed", None)
        await facts.add(database.connection, thread_id=thread_id, facts=[end])  # type: ignore[arg-type]
    message = RunMessage(agent_run_id=agent_run_id, thread_id=thread_id, account_id=account_id)
    [record] = copy.deepcopy(aws_event("sqs")["Records"])
    record |= {"body": message.body(), "messageId": str(agent_run_id)}
    record["attributes"]["SentTimestamp"] = str(round(time.time() * 1000))
    return message, record


async def look_after(message: RunMessage, *, age_s: float) -> Done | LookAgain:
    """What the watch does for a run: it looks at it, and tells its end."""
    looked = await look_at(message, age_s=age_s)
    return await tell(looked) if isinstance(looked, Untold) else looked
