"""The WebSocket function: ``$connect``, ``$disconnect``, and every message through ``$default``."""

import asyncio
import json
import time
from typing import Any
from uuid import UUID

from functions.api import tickets
from functions.api.auth import Principal, authenticator
from functions.api.commands import Caller, execute, refuse
from functions.api.errors import appearance
from functions.api.keys import keys
from functions.api.limits.limiter import UNKNOWN_PLAN, limiter
from functions.api.request_log import request_fields
from functions.api.wire import ErrorBody
from shared.aws import clients
from shared.database import connection, plans, threads
from shared.database.pool import close_pool, open_pool
from shared.domain import Json
from shared.errors import (
    InvalidRequestError,
    LimitExceededError,
    RateLimitedError,
    SubscriptionsUnavailableError,
    SunaError,
    UnauthenticatedError,
)
from shared.process import at_end, at_init, run
from shared.stream import open_connections, subscriptions, wake
from shared.stream.closing import end
from shared.stream.subscriptions import ConnectionRecord
from shared.telemetry import bound, logger


async def _connect_at_init() -> None:
    """What the first connection would otherwise wait for."""
    await asyncio.gather(clients.dynamodb(), clients.functions(), open_pool(), authenticator().prepare())


at_init(_connect_at_init)
at_end(close_pool)


def handler(event: dict[str, Any], _context: Any) -> Json:
    """One WebSocket event of API Gateway; the answer of ``$default`` goes back to the client as one frame."""
    return run(answer(event))


async def answer(event: Json) -> Json:
    """The answer to it, on the process's loop."""
    request = event["requestContext"]
    # Only a handshake has a query.
    query: dict[str, list[str]] = event.get("multiValueQueryStringParameters") or {}
    with bound(request_id=request["requestId"], connection_id=request["connectionId"], **request_fields(event, query)):
        match request["routeKey"]:
            case "$connect":
                return await _connect(event, request["connectionId"])
            case "$disconnect":
                return await _disconnect(request["connectionId"])
            case _:
                return await _message(event.get("body") or "", request["connectionId"])


async def _connect(event: Json, connection_id: str) -> Json:
    """Let a connection in. Its thread need not exist yet; events go to connections of the thread's account, and of
    others while it is public.
    """
    given: dict[str, str] = event.get("headers") or {}
    headers = {name.lower(): value for name, value in given.items()}
    query: dict[str, str] = event.get("queryStringParameters") or {}
    try:
        thread_id = _thread_id(query)
        caller = await _caller(headers.get("authorization"), headers.get("x-api-key"), query.get("ticket"))
        await limiter().admit(caller.account_id)
        async with connection() as taken:
            owner = await threads.owner(taken, thread_id=thread_id, account_id=caller.account_id)
            account_id = caller.account_id if owner is None else owner
            found = await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)
            limits = await plans.connection_limits(taken, account_id=caller.account_id)
        record = ConnectionRecord(
            connection_id=connection_id,
            account_id=caller.account_id,
            thread_id=thread_id,
            opened_at=time.time(),
            credential_expires_at=caller.expires_at,
            scopes=caller.scopes,
            key_id=caller.key_id,
            max_subscriptions=limits.max_subscriptions,
            owner_id=None if account_id == caller.account_id else account_id,
            begins_after=0 if found is None else found.before_run,
            generation=None if found is None else found.log.generation,
        )
        await _open(record, most=limits.max_connections)
    except SunaError as error:
        look = appearance(error)
        if look.is_fault:
            logger.error("not connected", exc_info=error)
        headers = dict(look.headers)
        if error.retry_after_s is not None:
            headers["retry-after"] = str(error.retry_after_s)
        body = ErrorBody(code=look.code, message=error.message, detail=error.detail)
        return {"statusCode": look.status, "headers": headers, "body": body.model_dump_json()}
    logger.info("connected", extra={"thread_id": str(record.thread_id)})
    return {"statusCode": 200}


async def _open(record: ConnectionRecord, *, most: int | None) -> None:
    """Remember the connection and count it; forget it again if it is one too many, or its key was revoked."""
    await subscriptions.put_connection(record)
    try:
        try:
            await open_connections.add(record, most=most)
        except LimitExceededError:
            # What has no right to be open any more takes no place from who comes again.
            await end(await open_connections.over(record.account_id))
            raise
        if record.key_id is not None:
            # Whoever revokes the key from here on finds the connection; whoever did before is found here.
            await keys().check(record.key_id, account_id=record.account_id, fresh=True)
    except Exception:
        # Whatever the reason, there is no connection, and none may count as one.
        await _forget(record.connection_id)
        raise


async def _caller(authorization: str | None, api_key: str | None, ticket: str | None) -> Principal:
    """Whoever a header says; without one, whoever the ticket stands for."""
    if authorization is None and api_key is None and ticket is not None:
        return await tickets.redeem(ticket)
    return await authenticator().authenticate(authorization, api_key)


_EXPIRED = "this connection or its credential has expired: connect again, with a valid one"


class _EndingError(Exception):
    """The command is refused, and its connection ends with that."""

    def __init__(self, error: SunaError) -> None:
        super().__init__(error.message)
        self.error = error


async def _admit(record: ConnectionRecord) -> None:
    """See to it that the connection may send something, whatever it is: its API key is good still, and its account does
    not ask too often. Of a client that goes on and on although it is told so the connection is closed. What comes after
    a connection's end counts, too: it is open until it is closed.

    Raises:
        _EndingError: it may not, and the connection is to be closed.
        SunaError: it may not now.
    """
    try:
        await limiter().admit(record.account_id, unknown=UNKNOWN_PLAN)
    except RateLimitedError as error:
        if (await limiter().strike(record.connection_id)).admitted:
            raise
        closed = RateLimitedError(f"this connection is closed: it went on although {error.message}")
        raise _EndingError(closed) from error
    if record.is_over:
        raise _EndingError(UnauthenticatedError(_EXPIRED))
    if record.key_id is not None:
        try:
            await keys().check(record.key_id, account_id=record.account_id)
        except UnauthenticatedError as error:
            raise _EndingError(error) from error


async def _end(connection_id: str, *, answer: Json) -> Json:
    """Refuse a command with this answer, and end its connection.

    Whoever closes the connection posts the answer first: it could be closed before the gateway has passed on what is
    returned here, and a client would never learn why.
    """
    try:
        if await end([connection_id], last_frame=json.dumps(answer)):
            return {"statusCode": 200}
    except SubscriptionsUnavailableError:
        logger.warning("a connection is closed when it sends more", exc_info=True)
    return _frame(answer)


async def _forget(connection_id: str) -> None:
    """Forget a connection, here or, while DynamoDB is away, in the sender function: Lambda invokes that again until it
    is done. Nobody is told of a failure: there is nobody, or they are told something else.
    """
    try:
        await subscriptions.delete_connection(connection_id)
    except SubscriptionsUnavailableError:
        logger.warning("a connection could not be forgotten here", exc_info=True)
        await wake.close([connection_id])


def _thread_id(query: Json) -> UUID:
    try:
        return UUID(query["thread_id"])
    except (KeyError, ValueError) as error:
        raise InvalidRequestError("connect to /threads/{thread_id}/stream/events, with the thread's UUID") from error


async def _disconnect(connection_id: str) -> Json:
    await _forget(connection_id)
    return {"statusCode": 200}


async def _message(body: str, connection_id: str) -> Json:
    try:
        record = await subscriptions.get_connection(connection_id)
    except SubscriptionsUnavailableError as error:
        logger.error("whose command it is cannot be looked up", exc_info=error)
        return _frame(refuse(body, error))
    if record is None:
        # Its two hours are over, or it has been closed, or $disconnect has overtaken the message. The answer is under
        # the command's id, so that whoever waits for it connects again at once.
        answer = refuse(body, UnauthenticatedError(_EXPIRED))
        # It is nobody's: whoever sends on and on does not have it looked for, and closed, each time.
        if (await limiter().strike(connection_id)).admitted:
            return await _end(connection_id, answer=answer)
        return _frame(answer)
    with bound(thread_id=str(record.thread_id)):
        try:
            await _admit(record)
        except _EndingError as ending:
            return await _end(connection_id, answer=refuse(body, ending.error))
        except SunaError as error:
            return _frame(refuse(body, error))
        return _frame(
            await execute(
                body,
                Caller(
                    account_id=record.account_id,
                    thread_id=record.thread_id,
                    connection=record,
                    scopes=record.scopes,
                ),
            )
        )


def _frame(response: Json) -> Json:
    return {"statusCode": 200, "body": json.dumps(response)}
