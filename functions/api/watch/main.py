"""The watch function.

A watch message is never sent again: it is reported as failed after its visibility was set, so that it comes back by
itself until its run is settled.
"""

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import queue
from shared.aws.queue import RunMessage
from shared.domain import Json
from shared.errors import SunaError
from shared.process import run
from shared.runs.settle import LookAgain, look_after
from shared.telemetry import bound, logger

_UNAVAILABLE_S = 10.0


def handler(event: dict[str, Any], _context: Any) -> Json:
    """A batch of watch messages, or of dead run messages; answers SQS's partial batch response."""
    return run(_handle(event["Records"]))


async def _handle(records: list[Json]) -> Json:
    failures = [record["messageId"] for record in records if not await _done(record)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


async def _done(record: Json) -> bool:
    """Look after one message's run; whether the message may go."""
    try:
        message = RunMessage.parse(record["body"])
    except ValueError:
        logger.exception("a message on the watch queue is not a watch")
        return True
    age_s = time.time() - int(record["attributes"]["SentTimestamp"]) / 1000
    with bound(request_id=message.request_id, thread_id=str(message.thread_id), agent_run_id=str(message.agent_run_id)):
        try:
            outcome = await look_after(message, age_s=age_s)
        except (SunaError, ClientError, BotoCoreError):
            logger.warning("the run could not be looked after; the watch comes back", exc_info=True)
            outcome = LookAgain(_UNAVAILABLE_S)
        if not isinstance(outcome, LookAgain):
            return True
        if queue.is_watch(record):
            await queue.show_again(record, after_s=outcome.after_s)
            return False
        # A dead letter has been handed to its run's watch by now, which goes on looking after it.
        return True
