"""The watch function.

A watch message is never sent again: it is reported as failed after its visibility was set, so that it comes back by
itself until its run is settled, and told to its webhook.
"""

import asyncio
import random
import time
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any

from functions.api.watch.deleted_events import look_after_deleted_events
from functions.api.watch.deletion import ROUND_S, look_after_deleted_log, look_after_deletion
from functions.api.watch.sweep import sweep_some
from functions.api.webhooks.delivery import deliver
from shared.aws import queue
from shared.aws.queue import AccountMessage, EventsMessage, LogMessage, RunMessage, ServeMessage, SweepMessage
from shared.database import connection, webhooks
from shared.domain import Json
from shared.errors import DatabaseUnavailableError, SunaError, TooManyWaitsError
from shared.process import run
from shared.runs.settle import Done, LookAgain, Untold, look_after_subscribers, look_at, tell
from shared.stream.redis_client import found_away_once
from shared.telemetry import bound, logger

_UNAVAILABLE_S = 10.0
# What fails in a way that nobody expects will do so again: somebody has to see to it first.
_DEFECT_S = 60.0
# As many webhooks of the account are attempted as its plan allows; an attempt lasts ten seconds at most.
_BUSY_S = (5.0, 15.0)
# PostgreSQL does not answer, and is asked for nobody else of the batch: a silent server would take the function's time
# with each, and what was received would stay invisible for six times as long.
_AWAY = LookAgain(_UNAVAILABLE_S)

type Looked = Done | LookAgain | Untold
type Errand = AccountMessage | LogMessage | EventsMessage | SweepMessage | ServeMessage


def handler(event: dict[str, Any], _context: Any) -> Json:
    """A batch of watch messages, also of what is to be deleted, swept or served, or of dead run messages.

    Answers SQS's partial batch response.
    """
    return run(_handle(event["Records"]))


async def _handle(records: list[Json]) -> Json:
    defects: list[Exception] = []
    with found_away_once():
        answer = await _look_after(records, defects)
    if defects:
        # All of the batch comes back: those that are over go then, and it is seen that not all goes well.
        raise ExceptionGroup("not all of the batch could be looked after", defects)
    return answer


async def _look_after(records: list[Json], defects: list[Exception]) -> Json:
    """Runs are looked at before any end is told: who waits for a dispatch waits for no Redis that is away.

    ``defects`` get what of the batch has failed in a way that nobody expects: the others go on.
    """
    failures: list[str] = []
    telling: list[Coroutine[None, None, str | None]] = []
    errands: list[tuple[Json, Errand]] = []
    looked_at: list[tuple[Json, RunMessage, Looked]] = []
    away = False
    for record in records:
        if (errand := _errand(record["body"])) is not None:
            errands.append((record, errand))
            continue
        try:
            message = RunMessage.parse(record["body"])
        except ValueError:
            logger.exception("a message on the watch queue is not a watch")
            continue
        with _logged(message):
            looked = _AWAY if away else await _look(message, record, defects)
        away = looked is _AWAY
        looked_at.append((record, message, looked))
    for record, message, looked in looked_at:
        with _logged(message):
            outcome, due_in_s = (_AWAY, None) if away else await _finish(message, looked, defects)
            away = outcome is _AWAY
            if due_in_s is not None and due_in_s <= 0:
                telling.append(_tell(message, record, outcome, defects))
            elif not await _may_go(record, _sooner(outcome, due_in_s)):
                failures.append(record["messageId"])
    for record, errand in errands:
        outcome = _AWAY if away else await _do_some(errand, record, defects, round_s=ROUND_S / len(errands))
        away = outcome is _AWAY
        if not await _may_go(record, outcome):
            failures.append(record["messageId"])
    # Receivers are strangers, and may be slow: all of them at once, and after everything else.
    failures += [message_id for message_id in await asyncio.gather(*telling) if message_id is not None]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _errand(body: str) -> Errand | None:
    kinds = (AccountMessage, LogMessage, EventsMessage, SweepMessage, ServeMessage)
    return next((found for kind in kinds if (found := kind.parse(body)) is not None), None)


def _logged(message: RunMessage) -> AbstractContextManager[None]:
    return bound(
        request_id=message.request_id, thread_id=str(message.thread_id), agent_run_id=str(message.agent_run_id)
    )


async def _look(message: RunMessage, record: Json, defects: list[Exception]) -> Looked:
    try:
        return await look_at(message, age_s=_age_s(record))
    except Exception as error:
        return _later(error, defects)


async def _finish(
    message: RunMessage, looked: Looked, defects: list[Exception]
) -> tuple[Done | LookAgain, float | None]:
    """Tell the run's end, if that is left; and in how many seconds its webhook is due, if there is one."""
    try:
        outcome = await tell(looked) if isinstance(looked, Untold) else looked
        return outcome, await _due_in_s(message)
    except Exception as error:
        return _later(error, defects), None


def _later(error: Exception, defects: list[Exception]) -> LookAgain:
    if not isinstance(error, SunaError):
        logger.exception("one of the batch has met an error of ours; the others go on")
        defects.append(error)
        return LookAgain(_DEFECT_S)
    logger.warning("what is to be done could not be; the watch comes back", exc_info=True)
    return _AWAY if isinstance(error, DatabaseUnavailableError) else LookAgain(_UNAVAILABLE_S)


async def _do_some(message: Errand, record: Json, defects: list[Exception], *, round_s: float) -> Done | LookAgain:
    """A round of deleting an account, what is left of a thread or a run, or what is old; or a look at who is served."""
    with bound(request_id=message.request_id):
        try:
            match message:
                case EventsMessage():
                    return await look_after_deleted_events(message, age_s=_age_s(record))
                case LogMessage():
                    return await look_after_deleted_log(message, age_s=_age_s(record))
                case AccountMessage():
                    return await look_after_deletion(message, age_s=_age_s(record), round_s=round_s)
                case SweepMessage():
                    return await sweep_some(message, age_s=_age_s(record), round_s=round_s)
                case ServeMessage():
                    return await look_after_subscribers(
                        thread_id=message.thread_id, account_id=message.account_id, since_s=_age_s(record)
                    )
        except Exception as error:
            return _later(error, defects)


def _age_s(record: Json) -> float:
    return time.time() - int(record["attributes"]["SentTimestamp"]) / 1000


async def _due_in_s(message: RunMessage) -> float | None:
    async with connection() as taken:
        return await webhooks.due_in_s(taken, agent_run_id=message.agent_run_id, account_id=message.account_id)


async def _tell(message: RunMessage, record: Json, outcome: Done | LookAgain, defects: list[Exception]) -> str | None:
    """Attempt the webhook of a run that was looked after; the message's id unless it may go."""
    with _logged(message):
        try:
            await deliver(message)
            outcome = _sooner(outcome, await _due_in_s(message))
        except TooManyWaitsError:
            # No attempt was begun, and none counts. Those that wait do not all come at once.
            outcome = _sooner(outcome, random.uniform(*_BUSY_S))  # noqa: S311 - no secret
        except Exception as error:
            outcome = _later(error, defects)
        return None if await _may_go(record, outcome) else record["messageId"]


def _sooner(outcome: Done | LookAgain, due_in_s: float | None) -> Done | LookAgain:
    """When to look again, at the run or its webhook, whichever is due first."""
    if due_in_s is None:
        return outcome
    again = LookAgain(max(due_in_s, 0.0))
    return again if not isinstance(outcome, LookAgain) or again.after_s < outcome.after_s else outcome


async def _may_go(record: Json, outcome: Done | LookAgain) -> bool:
    """Whether the message may go; else when it comes back is set."""
    if not isinstance(outcome, LookAgain):
        return True
    if queue.is_watch(record):
        await queue.show_again(record, after_s=outcome.after_s)
        return False
    # A dead letter has been handed to its run's watch by now, which goes on looking after it.
    return True
