"""Commands of the Agent Streaming Protocol, over WebSocket and over ``POST /threads/{thread_id}/commands``."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

from pydantic import ValidationError

from functions.api import states
from functions.api.auth import check_scope
from functions.api.command_types import (
    COMMANDS,
    CancelParams,
    Command,
    RespondParams,
    StateGetParams,
    SubscribeParams,
    UnsubscribeParams,
)
from functions.api.errors import appearance
from functions.api.idempotency import NewOnce, without_key
from functions.api.runs import respond, start_run
from functions.api.stops import cancel
from functions.api.values import require_few_values
from functions.api.wire import RunCreate, WireRun
from shared.database import Connection, connection, threads
from shared.database.idempotency import ReplayedError
from shared.domain import SCOPES, AgentRun, Json, Scope
from shared.errors import (
    EventLogUnavailableError,
    InvalidRequestError,
    NoSuchNamespaceError,
    NotFoundError,
    NotSupportedError,
    SunaError,
    UnknownCommandError,
)
from shared.stream import subscriptions, wake
from shared.stream.filters import Filter
from shared.stream.subscriptions import ConnectionRecord
from shared.telemetry import logger

# Part of the protocol, and not served here (yet).
_NOT_SUPPORTED = frozenset(
    {
        "agent.getTree",
        "input.inject",
        "state.fork",
        "state.listCheckpoints",
        "subscription.reconnect",
    }
)

# An answer is one message of API Gateway's WebSocket: 128 KB, and the envelope needs some.
_LARGEST_STATE_BYTES = 126_000

# Keeps a connection open: whoever is connected may send it.
_FREE = "ping"

_FORM = 'a command is one JSON object: {"id": 1, "method": "...", "params": {...}}'


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whose command it is, on which thread; ``connection`` if it came over a WebSocket.

    ``scopes``: what the credential allows. That the caller may send something now is seen to before.
    """

    account_id: str
    thread_id: UUID
    connection: ConnectionRecord | None = None
    idempotency: NewOnce = without_key
    scopes: frozenset[Scope] = SCOPES

    @property
    def thread_account_id(self) -> str:
        """Whose events are watched: another account's, where the thread is public. Nothing is changed by it."""
        return self.account_id if self.connection is None else self.connection.thread_account_id


async def execute(body: str, caller: Caller) -> Json:
    """Carry out the command that ``body`` holds; returns the response, also for whatever is wrong with it."""
    command_id: int | None = None
    try:
        fields = _parse(body)
        command_id = _id(fields)
        command = Command.model_validate(fields)
        handler = _handler(command.method)
        if command.method != _FREE:
            check_scope(COMMANDS[command.method].scope, caller.scopes)
        result = await handler(command.params, caller)
    except SunaError as error:
        if appearance(error).is_fault:
            logger.error("command failed", exc_info=error)
        return _refusal(command_id, error)
    except ValidationError as error:
        return _error(command_id, "invalid_argument", _first_problem(error))
    except Exception:
        logger.exception("command failed")
        return _error(command_id, "unknown_error", "something went wrong on our side; it has been logged")
    return {"type": "success", "id": command.id, "result": result}


def refuse(body: str, error: SunaError) -> Json:
    """The response to the command that ``body`` holds when none is carried out, whatever it asks for."""
    try:
        return _refusal(_id(_parse(body)), error)
    except InvalidRequestError:
        return _refusal(None, error)


def _refusal(command_id: int | None, error: SunaError) -> Json:
    return _error(command_id, appearance(error).command_error, error.message)


def _id(fields: Json) -> int | None:
    return fields["id"] if isinstance(fields.get("id"), int) else None


def _parse(body: str) -> Json:
    require_few_values(body.encode(errors="replace"))
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise InvalidRequestError(_FORM) from error
    if not isinstance(parsed, dict):
        raise InvalidRequestError(_FORM)
    return cast("Json", parsed)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {problem['msg']}" if field else problem["msg"]


def _error(command_id: int | None, code: str, message: str) -> Json:
    return {"type": "error", "id": command_id, "error": code, "message": message}


async def _subscribe(params: Json, caller: Caller) -> Json:
    if caller.connection is None:
        raise NotSupportedError("subscribe over the WebSocket at /threads/{thread_id}/stream/events")
    wanted = SubscribeParams.model_validate(params)
    async with connection() as taken:
        found = await _position(taken, caller)
    if found is None and caller.thread_account_id != caller.account_id:
        # Nothing is kept for them: it would lie where the thread's account has it read, and be served to nobody.
        raise NotFoundError("this thread is not public (any more): connect again if it is yours by now")
    since = await _since(wanted, found)
    new = Filter(
        subscription_id=str(uuid4()),
        channels=frozenset(wanted.channels),
        namespaces=wanted.prefixes,
        depth=wanted.depth,
    )
    generation = None if found is None else found.log.generation
    await subscriptions.add(caller.connection, new, since=since, generation=generation)
    await _serve(caller, after=caller.connection.begins_in(generation) if since is None else since)
    return {"subscription_id": new.subscription_id}


async def _since(wanted: SubscribeParams, found: threads.StreamPosition | None) -> int | None:
    """The number after which the subscription begins in the log that there is; ``None``: where its connection does.

    A place in another log, of a thread that was deleted and made again, is none in this one, which then comes from its
    beginning. So it does where a number that nobody has said the log of lies behind the log's end, among the numbers
    that are only reserved: it is of another log, or Redis has lost the rest of this one.
    """
    if wanted.place is None:
        return None
    generation, seq = wanted.place
    if generation is not None and (found is None or generation != found.log.generation):
        return 0
    newest, used = (0, 0) if found is None else (found.last_seq, found.reserved_seq)
    if seq > used:
        raise InvalidRequestError(f"since: {seq} is in the future; the newest event is {newest}")
    if generation is None and found is not None and seq > newest:
        # Deferred, as in _serve.
        from shared.stream import log  # noqa: PLC0415

        try:
            return seq if seq <= (await log.last_seq(found.log) or 0) else 0
        except EventLogUnavailableError:
            logger.warning("it cannot be looked up whether the log has a number", exc_info=True)
    return seq


async def _position(taken: Connection, caller: Caller) -> threads.StreamPosition | None:
    """Where the events stand that the caller may see; ``None`` if there are none (yet).

    Of a thread that is public no more nothing is told to others, not even where its events end.
    """
    is_others = caller.thread_account_id != caller.account_id
    if is_others and await threads.public(taken, thread_id=caller.thread_id) is None:
        return None
    return await threads.stream_position(taken, thread_id=caller.thread_id, account_id=caller.thread_account_id)


async def _serve(caller: Caller, *, after: int = -1, surely: bool = True) -> None:
    """Have the thread's subscribers served: by whoever executes its run, else by the sender function.

    It is asked for after the subscription was written: whoever ends the run reads the subscriptions once more after it.
    ``after``: the subscriber wants nothing up to this number. A sender function that has nothing to send would only be
    in the way of the run that a client starts as soon as it has subscribed; whoever appends later looks for itself.
    ``surely``: until the subscribers have all that there is somebody looks after that, however often the sender fails.

    Raises QueueUnavailableError: nobody does, and nobody is woken.
    """
    async with connection() as taken:
        position = await _position(taken, caller)
    if position is None:
        # Nothing can be read yet: whoever makes the thread and runs it looks for its subscribers.
        return
    if not position.held:
        if after >= position.reserved_seq:
            return
        is_others = caller.thread_account_id != caller.account_id
        if surely:
            await wake.watch(thread_id=caller.thread_id, account_id=caller.thread_account_id)
        await wake.sender(thread_id=caller.thread_id, account_id=caller.account_id, is_others=is_others)
        return
    # Deferred: the client of Redis costs a cold start 150 ms, and the executor looks every two seconds anyway.
    from shared.stream import control  # noqa: PLC0415

    await control.notify(position.log, "subscriptions")


async def _unsubscribe(params: Json, caller: Caller) -> Json:
    wanted = UnsubscribeParams.model_validate(params)
    if caller.connection is not None:
        await subscriptions.remove(caller.connection, wanted.subscription_id)
    return {}


async def _run_start(params: Json, caller: Caller) -> Json:
    # A stream may be opened before its thread exists; the run that it starts makes it.
    body = RunCreate.model_validate({**params, "if_not_exists": "create"})
    once = caller.idempotency(_started)
    try:
        run = await start_run(account_id=caller.account_id, thread_id=caller.thread_id, body=body, once=once)
    except ReplayedError as replayed:
        return replayed.answer
    return _started(run)


async def _input_respond(params: Json, caller: Caller) -> Json:
    wanted = RespondParams.model_validate(params)
    once = caller.idempotency(_started)
    try:
        run = await respond(
            account_id=caller.account_id,
            thread_id=caller.thread_id,
            interrupt_id=wanted.interrupt_id,
            response=wanted.response,
            once=once,
        )
    except ReplayedError as replayed:
        return replayed.answer
    return _started(run)


def _started(run: AgentRun) -> Json:
    return {"run_id": str(run.agent_run_id)}


async def _run_cancel(params: Json, caller: Caller) -> Json:
    wanted = CancelParams.model_validate(params)
    run = await cancel(
        account_id=caller.account_id, thread_id=caller.thread_id, agent_run_id=wanted.run_id, action=wanted.action
    )
    return {"run_id": str(run.agent_run_id), "status": WireRun.of(run).status}


async def _state_get(params: Json, caller: Caller) -> Json:
    wanted = StateGetParams.model_validate(params)
    if wanted.namespace:
        raise NoSuchNamespaceError(f"there is no namespace {wanted.namespace!r}: the agent is the root, []")
    state = await states.thread_state(account_id=caller.account_id, thread_id=caller.thread_id)
    result = state.model_dump(mode="json")
    if wanted.keys is not None:
        result["values"] = {key: value for key, value in result["values"].items() if key in wanted.keys}
    checkpoint: Json = result.pop("checkpoint")
    if checkpoint["checkpoint_id"] is not None:
        result["checkpoint"] = {**checkpoint, "id": checkpoint["checkpoint_id"], "ns": checkpoint["checkpoint_ns"]}
    size = len(json.dumps(result))
    if caller.connection is not None and size > _LARGEST_STATE_BYTES:
        raise InvalidRequestError(
            f"the state has {size} bytes, more than a message holds: GET /threads/{caller.thread_id}/state"
        )
    return result


async def _ping(_params: Json, caller: Caller) -> Json:
    if caller.connection is not None and time.time() >= caller.connection.announce_at:
        # Where nothing is to be sent nobody has told the client that its connection ends soon.
        await _serve(caller, surely=False)
    return {}


_HANDLERS: dict[str, Callable[[Json, Caller], Awaitable[Json]]] = {
    "input.respond": _input_respond,
    "ping": _ping,
    "run.cancel": _run_cancel,
    "run.start": _run_start,
    "state.get": _state_get,
    "subscription.subscribe": _subscribe,
    "subscription.unsubscribe": _unsubscribe,
}


def _handler(method: str) -> Callable[[Json, Caller], Awaitable[Json]]:
    found = _HANDLERS.get(method)
    if found is not None:
        return found
    if method in _NOT_SUPPORTED:
        raise NotSupportedError(f"{method!r} is not supported")
    raise UnknownCommandError(f"there is no command {method!r}; there are {', '.join(sorted(_HANDLERS))}")
