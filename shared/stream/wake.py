"""Waking the sender function: it posts to a thread's subscribers where no run is executed."""

import json
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import clients
from shared.settings import stream_settings
from shared.telemetry import ids, logger


async def sender(*, thread_id: UUID, account_id: str, function: str | None = None) -> None:
    """Have the thread's subscribers served, soon. ``function``: the sender function's name, if the caller is it.

    That it cannot be woken is no error: what is not posted is posted by whoever serves the thread next.
    """
    function = function or stream_settings().sender_function
    payload = {"thread_id": str(thread_id), "account_id": account_id, "request_id": ids().get("request_id")}
    try:
        client = await clients.functions()
        await client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode())
    except (ClientError, BotoCoreError):
        logger.warning("the sender function could not be woken", exc_info=True)
