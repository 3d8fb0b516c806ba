"""Commands: whatever a client sends gets one answer, and what is wrong with it is named."""

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from langchain_protocol import ErrorCode
from langchain_protocol.protocol import CommandResponse, ErrorResponse
from pydantic import TypeAdapter

from functions.api import commands
from functions.api.commands import Caller, execute, refuse
from shared.database.threads import StreamPosition
from shared.errors import UnauthenticatedError
from shared.stream.subscriptions import ConnectionRecord
from tests.thread_logs import log_named

OVER_HTTP = Caller(account_id="account", thread_id=uuid4())
THREAD_ID = uuid4()
OVER_WEBSOCKET = Caller(
    account_id="account",
    thread_id=THREAD_ID,
    connection=ConnectionRecord(
        connection_id="R0oXAdfD0kwCH6w=",
        account_id="account",
        thread_id=THREAD_ID,
        opened_at=time.time(),
        credential_expires_at=2**32,
    ),
)


def _position(last_seq: int, reserved_seq: int, begins_after: int | None = None) -> StreamPosition:
    return StreamPosition(
        log=log_named(THREAD_ID), last_seq=last_seq, reserved_seq=reserved_seq, begins_after=begins_after, held=False
    )


def _command(**fields: Any) -> str:
    return json.dumps({"id": 1, "method": "ping", "params": {}, **fields})


async def test_ping_is_answered_in_the_protocols_form() -> None:
    answer = await execute(_command(id=7), OVER_WEBSOCKET)
    assert answer == {"type": "success", "id": 7, "result": {}}
    TypeAdapter(CommandResponse).validate_python(answer)


@pytest.mark.parametrize(
    ("body", "command_id"), [(_command(id=7), 7), ('{"id": "seven"}', None), ("hello", None), ("[]", None), ("", None)]
)
def test_whatever_a_client_sends_can_be_refused_under_its_id(body: str, command_id: int | None) -> None:
    answer = refuse(body, UnauthenticatedError("come back with a new token"))
    assert answer == {
        "type": "error",
        "id": command_id,
        "error": "permission_denied",
        "message": "come back with a new token",
    }


@pytest.mark.parametrize(("opened_before_s", "asked"), [(0, []), (3600, []), (7200 - 599, [THREAD_ID])])
async def test_a_ping_shortly_before_the_connections_end_has_that_announced(
    opened_before_s: float, asked: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[UUID] = []

    async def serve(caller: Caller, *, surely: bool) -> None:
        # Nothing is lost: it may be told with the next ping.
        assert not surely
        served.append(caller.thread_id)

    monkeypatch.setattr(commands, "_serve", serve)
    assert OVER_WEBSOCKET.connection is not None
    opened = replace(OVER_WEBSOCKET.connection, opened_at=time.time() - opened_before_s)
    answer = await execute(_command(id=7), replace(OVER_WEBSOCKET, connection=opened))
    assert answer == {"type": "success", "id": 7, "result": {}}
    assert served == asked


@pytest.mark.parametrize(
    ("since", "begins_after", "position", "woken"),
    [
        (None, 0, None, 0),
        (None, 42, _position(42, 42), 0),
        (42, 0, _position(42, 42), 0),
        (None, 41, _position(42, 42), 1),
        (41, 42, _position(42, 42), 1),
        # A holder has died: what it has used of its numbers is not known.
        (None, 42, _position(42, 1042, 42), 1),
    ],
    ids=["no thread", "nothing", "nothing since", "an event", "an event since", "a dead holder"],
)
async def test_the_sender_is_woken_by_a_subscription_if_there_may_be_something_to_send(
    since: int | None, begins_after: int, position: StreamPosition | None, woken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[int | None] = []
    served: list[UUID] = []
    watched: list[UUID] = []

    async def stream_position(_: Any, *, thread_id: UUID, account_id: str) -> StreamPosition | None:
        assert (thread_id, account_id) == (THREAD_ID, "account")
        return position

    async def add(_record: ConnectionRecord, _new: Any, *, since: int | None, generation: UUID | None) -> None:
        assert generation == (None if position is None else position.log.generation)
        added.append(since)

    async def watch(*, thread_id: UUID, account_id: str) -> None:
        assert account_id == "account"
        watched.append(thread_id)

    async def wake_sender(*, thread_id: UUID, account_id: str, is_others: bool) -> None:
        assert (account_id, is_others) == ("account", False)
        # Whoever is woken reads what was written before, and may fail.
        assert (added, watched) == ([since], [thread_id])
        served.append(thread_id)

    monkeypatch.setattr(commands, "connection", nullcontext)
    monkeypatch.setattr(commands.threads, "stream_position", stream_position)
    monkeypatch.setattr(commands.subscriptions, "add", add)
    monkeypatch.setattr(commands.wake, "watch", watch)
    monkeypatch.setattr(commands.wake, "sender", wake_sender)
    assert OVER_WEBSOCKET.connection is not None
    generation = None if position is None else position.log.generation
    opened = replace(OVER_WEBSOCKET.connection, begins_after=begins_after, generation=generation)
    params = {"channels": ["messages"]} | ({} if since is None else {"since": since})
    answer = await execute(
        _command(method="subscription.subscribe", params=params), replace(OVER_WEBSOCKET, connection=opened)
    )
    assert answer["type"] == "success", answer
    assert (added, watched, served) == ([since], [THREAD_ID] * woken, [THREAD_ID] * woken)


async def test_who_read_a_thread_that_is_private_now_is_not_told_where_its_events_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def public(_: Any, *, thread_id: UUID) -> None:
        assert thread_id == THREAD_ID

    async def never(*_: Any, **__: Any) -> None:
        pytest.fail("it was asked for, or told")

    monkeypatch.setattr(commands, "connection", nullcontext)
    monkeypatch.setattr(commands.threads, "public", public)
    monkeypatch.setattr(commands.threads, "stream_position", never)
    monkeypatch.setattr(commands.wake, "sender", never)
    # Nor is anything kept for them, which the thread's account would have read.
    monkeypatch.setattr(commands.subscriptions, "add", never)
    assert OVER_WEBSOCKET.connection is not None
    reader = replace(OVER_WEBSOCKET.connection, owner_id="the owner", opened_at=0)
    caller = replace(OVER_WEBSOCKET, connection=reader)
    params = {"channels": ["messages"], "since": 5}
    answer = await execute(_command(method="subscription.subscribe", params=params), caller)
    assert (answer["error"], "not public" in answer["message"]) == ("invalid_argument", True)
    # A ping wakes nobody either.
    assert (await execute(_command(method="ping"), caller))["type"] == "success"


async def test_params_may_be_left_out_and_other_fields_are_ignored() -> None:
    answer = await execute('{"id": 0, "method": "ping", "meta": {"trace": "x"}}', OVER_WEBSOCKET)
    assert answer == {"type": "success", "id": 0, "result": {}}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "{",
        "[]",
        '"ping"',
        "7",
        "null",
        '[{"id": 1, "method": "ping"}]',
        pytest.param("[" * 40_000, id="nested beyond reason"),
        pytest.param('{"id": ' + "1" * 5_000 + ', "method": "ping"}', id="a number of 5,000 digits"),
    ],
)
async def test_what_is_no_json_object_is_refused_with_the_form_of_a_command(body: str) -> None:
    answer = await execute(body, OVER_WEBSOCKET)
    assert (answer["type"], answer["id"], answer["error"]) == ("error", None, "invalid_argument")
    assert '{"id": 1, "method": "...", "params": {...}}' in answer["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"method": "ping"}', "id"),
        ('{"id": null, "method": "ping"}', "id"),
        ('{"id": "one", "method": "ping"}', "id"),
        ('{"id": 1.5, "method": "ping"}', "id"),
        ('{"id": -1, "method": "ping"}', "id"),
        ('{"id": {}, "method": "ping"}', "id"),
        ('{"id": 1}', "method"),
        ('{"id": 1, "method": null}', "method"),
        ('{"id": 1, "method": ["ping"]}', "method"),
        ('{"id": 1, "method": "' + "p" * 101 + '"}', "method"),
        ('{"id": 1, "method": "ping", "params": []}', "params"),
        ('{"id": 1, "method": "ping", "params": "x"}', "params"),
    ],
)
async def test_an_envelope_that_is_not_valid_is_refused_by_its_field(body: str, field: str) -> None:
    answer = await execute(body, OVER_WEBSOCKET)
    assert (answer["type"], answer["error"]) == ("error", "invalid_argument")
    assert answer["message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "channels"),
        ({"channels": None}, "channels"),
        ({"channels": "messages"}, "channels"),
        ({"channels": []}, "channels"),
        ({"channels": ["message"]}, "channels"),
        ({"channels": ["messages", ""]}, "channels"),
        ({"channels": [1]}, "channels.0"),
        ({"channels": ["messages"] * 33}, "channels"),
        ({"channels": ["custom:" + "x" * 200]}, "channels.0"),
        ({"channels": ["messages"], "namespaces": [["x" * 200]]}, "namespaces.0.0"),
        ({"channels": ["messages"], "namespaces": [["x"] * 33]}, "namespaces.0"),
        ({"channels": ["messages"], "namespaces": [["x" * 100] * 4] * 32}, "namespaces"),
        ({"channels": ["messages"], "since": -1}, "since"),
        ({"channels": ["messages"], "since": "now"}, "since"),
        ({"channels": ["messages"], "since": 10**40}, "since"),
    ],
)
async def test_a_subscription_that_is_not_valid_is_refused_by_its_field(params: dict[str, Any], field: str) -> None:
    answer = await execute(_command(id=3, method="subscription.subscribe", params=params), OVER_WEBSOCKET)
    assert (answer["type"], answer["id"], answer["error"]) == ("error", 3, "invalid_argument")
    assert answer["message"].startswith(f"{field}: ")


async def test_an_unknown_channel_is_answered_with_those_there_are() -> None:
    answer = await execute(_command(method="subscription.subscribe", params={"channels": ["chat"]}), OVER_WEBSOCKET)
    assert "'chat'" in answer["message"]
    assert "lifecycle, messages" in answer["message"]


async def test_an_unsubscription_names_its_subscription() -> None:
    answer = await execute(_command(method="subscription.unsubscribe"), OVER_WEBSOCKET)
    assert (answer["error"], answer["message"]) == ("invalid_argument", "subscription_id: Field required")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "assistant_id"),
        ({"assistant_id": 7}, "assistant_id"),
        ({"assistant_id": "agent", "input": 7}, "input"),
        ({"assistant_id": "agent", "input": {"messages": [{"role": "user"}]}}, "input.messages.0.content"),
        ({"assistant_id": "agent", "input": {"messages": [{"content": "x"}]}}, "input.messages.0"),
    ],
)
async def test_a_run_that_is_not_valid_is_refused_by_its_field(params: dict[str, Any], field: str) -> None:
    answer = await execute(_command(method="run.start", params=params), OVER_HTTP)
    assert answer["error"] == "invalid_argument"
    assert answer["message"].startswith(f"{field}: ")


async def test_subscribing_over_http_is_refused_with_the_way_to_do_it() -> None:
    answer = await execute(_command(method="subscription.subscribe", params={"channels": ["messages"]}), OVER_HTTP)
    assert answer["error"] == "not_supported"
    assert "/threads/{thread_id}/stream/events" in answer["message"]


@pytest.mark.parametrize("method", ["Ping", "threads.delete", ""])
async def test_an_unknown_command_is_answered_with_those_there_are(method: str) -> None:
    answer = await execute(_command(id=9, method=method), OVER_WEBSOCKET)
    assert (answer["id"], answer["error"]) == (9, "unknown_command")
    assert (
        "ping, run.cancel, run.start, state.get, subscription.subscribe, subscription.unsubscribe" in answer["message"]
    )


@pytest.mark.parametrize("method", ["input.inject", "subscription.reconnect", "state.fork", "agent.getTree"])
async def test_a_command_of_the_protocol_that_is_not_served_says_so(method: str) -> None:
    answer = await execute(_command(method=method), OVER_WEBSOCKET)
    assert (answer["error"], answer["message"]) == ("not_supported", f"{method!r} is not supported")


async def test_a_fault_of_ours_is_answered_without_its_details(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_params: object, _caller: object) -> dict[str, Any]:
        raise RuntimeError("password=hunter2")

    monkeypatch.setitem(commands._HANDLERS, "ping", broken)
    answer = await execute(_command(id=4), OVER_WEBSOCKET)
    assert (answer["id"], answer["error"]) == (4, "unknown_error")
    assert "hunter2" not in json.dumps(answer)


@pytest.mark.parametrize("body", ["", "[]", '{"id": 1}', _command(method="x"), _command(method="state.fork")])
async def test_every_error_is_of_the_protocols_type(body: str) -> None:
    answer = await execute(body, OVER_WEBSOCKET)
    TypeAdapter(ErrorResponse).validate_python(answer)
    assert answer["error"] in {word for literal in get_args(ErrorCode) for word in get_args(literal)}
