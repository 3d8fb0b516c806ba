"""Waking the sender function: it posts to a thread's subscribers where no run is executed, and closes connections."""

import json
from collections.abc import Sequence
from itertools import batched
from uuid import UUID

from shared.aws import clients, queue
from shared.aws.queue import ServeMessage
from shared.domain import Json
from shared.errors import FunctionsUnavailableError
from shared.settings import stream_settings
from shared.telemetry import ids, logger

# One invocation closes that many, within its time and the size of its event.
_MOST_CLOSED = 500
# A sender that comes has come by then.
_WATCHED_AFTER_S = 10.0


async def sender(*, thread_id: UUID, account_id: str, is_others: bool = False, function: str | None = None) -> None:
    """Have the thread's subscribers served, soon.

    ``is_others``: the thread is another account's, a public one: only this account's are. ``function``: the sender
    function's name, if the caller is it.

    That it cannot be woken is no error, nor that it fails: a watch comes back until all are served, that of a run which
    has ended, or the one that :func:`watch` sends.
    """
    await _try({"thread_id": str(thread_id), "account_id": account_id, "is_others": is_others}, function)


async def watch(*, thread_id: UUID, account_id: str) -> None:
    """Have a watch come back until whoever watches the account's thread has all that there is.

    Raises QueueUnavailableError.
    """
    await queue.send("watch", ServeMessage(thread_id=thread_id, account_id=account_id), delay_s=_WATCHED_AFTER_S)


async def close(connection_ids: Sequence[str], *, last_frame: str | None = None) -> bool:
    """Have connections closed, soon, that are silenced already (:mod:`shared.stream.closing`); ``last_frame`` is posted
    to each before.

    False if nobody can be woken for it. It is no error: nothing is posted to them, and their commands are refused.
    """
    return not connection_ids or await _try({"close": list(connection_ids), "last_frame": last_frame})


async def close_surely(connection_ids: Sequence[str]) -> None:
    """The same for connections that are not silenced yet: whoever hears of a failure can do it again.

    Raises FunctionsUnavailableError.
    """
    for some in batched(connection_ids, _MOST_CLOSED, strict=False):
        await _invoke({"close": list(some)})


async def _try(payload: Json, function: str | None = None) -> bool:
    try:
        await _invoke(payload, function)
    except FunctionsUnavailableError:
        logger.warning("the sender function could not be woken", exc_info=True)
        return False
    return True


async def _invoke(payload: Json, function: str | None = None) -> None:
    function = function or stream_settings().sender_function
    payload["request_id"] = ids().get("request_id")
    client = await clients.functions()
    await client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode())
