"""Shapes on the wire, and the one mapping of our words to theirs."""

from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, ValidationError

from functions.api import wire
from functions.api.body import DEEPEST_JSON, Body
from functions.api.command_types import COMMANDS, NoParams
from functions.api.http.app import build_app
from functions.api.wire import InputMessage, RunCreate, RunInput, ThreadCreate, ThreadSearch, WireRun, WireThread
from shared.domain import AgentRun, Message, MessageType, RunStatus, Thread
from shared.stream import snapshot

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def _run(status: RunStatus) -> AgentRun:
    return AgentRun(
        agent_run_id=uuid4(),
        thread_id=uuid4(),
        account_id="account",
        number=1,
        status=status,
        assistant_id="agent",
        model=None,
        metadata={},
        multitask_strategy="enqueue",
        error=None,
        usage=None,
        created_at=NOW,
        updated_at=NOW,
        started_at=None,
        ended_at=None,
    )


def _thread(status: RunStatus | None) -> Thread:
    return Thread(
        thread_id=uuid4(),
        account_id="account",
        metadata={},
        is_public=False,
        last_run_status=status,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("queued", "pending"),
        ("running", "running"),
        ("completed", "success"),
        ("failed", "error"),
        ("timed_out", "timeout"),
        ("stopped", "interrupted"),
        ("needs_input", "interrupted"),
    ],
)
def test_a_runs_status_on_the_wire(ours: RunStatus, theirs: str) -> None:
    assert WireRun.of(_run(ours)).status == theirs
    assert ours in wire.run_statuses(theirs)


@pytest.mark.parametrize(
    ("newest_run", "theirs"),
    [
        (None, "idle"),
        ("queued", "busy"),
        ("running", "busy"),
        ("completed", "idle"),
        ("stopped", "idle"),
        ("failed", "error"),
        ("timed_out", "error"),
        ("needs_input", "interrupted"),
    ],
)
def test_a_threads_status_is_that_of_its_newest_run(newest_run: RunStatus | None, theirs: Any) -> None:
    assert WireThread.of(_thread(newest_run)).status == theirs
    assert newest_run in wire.last_run_statuses(theirs)


def test_every_word_of_the_wire_stands_for_some_status_and_every_status_for_one_word() -> None:
    by_run = [status for word in get_args(wire.WireRunStatus) for status in wire.run_statuses(word)]
    assert sorted(by_run) == sorted(get_args(RunStatus))
    by_thread = [status for word in get_args(wire.WireThreadStatus) for status in wire.last_run_statuses(word)]
    assert sorted(map(str, by_thread)) == sorted(map(str, [None, *get_args(RunStatus)]))


@pytest.mark.parametrize(
    ("field", "word", "ours"),
    [
        ("role", "user", "user"),
        ("role", "assistant", "assistant"),
        ("role", "system", "system"),
        ("role", "tool", "tool"),
        ("type", "human", "user"),
        ("type", "ai", "assistant"),
        ("type", "system", "system"),
        ("type", "tool", "tool"),
    ],
)
def test_a_message_is_taken_as_openai_and_as_langchain_write_it(field: str, word: str, ours: str) -> None:
    new = InputMessage.model_validate({field: word, "content": "hello"}).new_message()
    assert new.type == ours
    assert new.content == {"role": ours, "content": "hello"}


@pytest.mark.parametrize("fields", [{"role": "root"}, {"type": "function"}, {}, {"role": None, "type": None}])
def test_a_message_of_an_unknown_role_is_refused_with_the_roles_there_are(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"'role' must be one of user, human, assistant, ai, system, tool"):
        InputMessage.model_validate({**fields, "content": "hello"})


def test_a_message_keeps_its_blocks_its_id_and_the_call_it_answers() -> None:
    message_id = uuid4()
    blocks = [{"type": "text", "text": "found"}]
    new = InputMessage.model_validate(
        {"type": "tool", "content": blocks, "id": str(message_id), "tool_call_id": "call-1"}
    ).new_message()
    assert new.message_id == message_id
    assert new.content == {"role": "tool", "content": blocks, "tool_call_id": "call-1"}


def test_messages_without_an_id_have_none_until_they_are_kept() -> None:
    assert InputMessage(role="user", content="hello").new_message().message_id is None


@pytest.mark.parametrize("content", [None, 7, [1], {"text": "x"}])
def test_content_is_text_or_blocks(content: object) -> None:
    with pytest.raises(ValidationError):
        InputMessage.model_validate({"role": "user", "content": content})


@pytest.mark.parametrize(
    "given",
    [
        "hello",
        {"messages": "hello"},
        {"messages": ["hello"]},
        {"messages": {"role": "user", "content": "hello"}},
        {"messages": [{"type": "human", "content": "hello"}]},
    ],
)
def test_input_is_one_message_or_many_in_every_form(given: object) -> None:
    body = RunCreate.model_validate({"assistant_id": "agent", "input": given})
    assert body.input is not None
    [message] = body.input.messages
    assert (message.new_message().type, message.content) == ("user", "hello")


def test_many_messages_keep_their_order() -> None:
    found = RunInput.model_validate({"messages": ["one", {"role": "ai", "content": "two"}, "three"]})
    assert [message.content for message in found.messages] == ["one", "two", "three"]


def test_null_is_as_good_as_absent() -> None:
    body = RunCreate.model_validate(
        {
            "assistant_id": "agent",
            "input": None,
            "config": None,
            "metadata": None,
            "multitask_strategy": None,
            "if_not_exists": None,
            "after_seconds": None,
        }
    )
    assert body == RunCreate(assistant_id="agent")

    thread = ThreadCreate.model_validate({"thread_id": None, "metadata": None, "if_exists": None})
    assert isinstance(thread.thread_id, UUID)
    assert (thread.metadata, thread.if_exists) == ({}, "raise")
    assert ThreadCreate.model_validate({}).thread_id != thread.thread_id


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "assistant_id"),
        ({"assistant_id": ""}, "assistant_id"),
        ({"assistant_id": None}, "assistant_id"),
        ({"assistant_id": "agent", "multitask_strategy": "wait"}, "multitask_strategy"),
        ({"assistant_id": "agent", "if_not_exists": "maybe"}, "if_not_exists"),
        ({"assistant_id": "agent", "after_seconds": -1}, "after_seconds"),
        ({"assistant_id": "agent", "after_seconds": float("nan")}, "after_seconds"),
        ({"assistant_id": "agent", "after_seconds": 8 * 24 * 3600}, "after_seconds"),
        ({"assistant_id": "agent", "metadata": []}, "metadata"),
        ({"assistant_id": "agent", "config": []}, "config"),
        ({"assistant_id": "agent", "config": {"configurable": 7}}, "config.configurable"),
    ],
)
def test_a_run_that_is_not_valid_is_refused_by_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RunCreate.model_validate(fields)
    assert [".".join(map(str, problem["loc"])) for problem in refused.value.errors()] == [field]


@pytest.mark.parametrize("value", ["a\0b", "\ud800", float("nan"), float("inf")])
@pytest.mark.parametrize(
    "place", [lambda value: {"key": value}, lambda value: {"list": [{"deep": value}]}, lambda value: {str(value): 1}]
)
def test_what_the_database_cannot_hold_is_refused_by_its_field(value: object, place: Any) -> None:
    metadata = place(value)
    if metadata in ({"nan": 1}, {"inf": 1}):
        assert ThreadCreate.model_validate({"metadata": metadata}).metadata == metadata
        return
    with pytest.raises(ValidationError) as refused:
        ThreadCreate.model_validate({"metadata": metadata})
    assert [problem["loc"] for problem in refused.value.errors()] == [("metadata",)]


@pytest.mark.parametrize(
    "body", [{"role": "user", "content": "a\0b"}, {"role": "user", "content": [{"text": "\ud800"}]}]
)
def test_a_message_that_the_database_cannot_hold_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        RunCreate.model_validate({"assistant_id": "agent", "input": {"messages": [body]}})
    assert refused.value.errors()[0]["loc"][0] == "input"


def test_fields_of_newer_clients_are_ignored() -> None:
    assert RunCreate.model_validate({"assistant_id": "agent", "durability": "sync"}) == RunCreate(assistant_id="agent")


@pytest.mark.parametrize("fields", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"status": "done"}, {"ids": ["x"]}])
def test_a_search_that_is_not_valid_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ThreadSearch.model_validate(fields)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("user", "human"), ("assistant", "ai"), ("system", "system"), ("tool", "tool"), ("summary", "system")],
)
def test_a_stored_message_on_the_wire(ours: MessageType, theirs: str) -> None:
    message = Message(
        message_id=uuid4(),
        thread_id=uuid4(),
        run_number=1,
        position=0,
        agent_run_id=None,
        type=ours,
        is_llm_message=True,
        content={"role": "whatever", "content": None, "tool_call_id": "call-1"},
        metadata={},
        created_at=NOW,
    )
    assert snapshot.wire_message(message) == {
        "type": theirs,
        "content": "",
        "id": str(message.message_id),
        "tool_call_id": "call-1",
    }


def test_every_body_and_every_commands_params_are_checked_for_what_cannot_be_stored() -> None:
    routers: list[Any] = [getattr(route, "original_router", None) for route in build_app().routes]
    routes = [route for router in routers if router is not None for route in router.routes]
    annotations = [route.body_field.field_info.annotation for route in routes if route.body_field is not None]
    bodies = {
        kind
        for annotation in annotations
        for kind in (annotation, *get_args(annotation))
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }
    params = {command.params for command in COMMANDS.values()} - {NoParams}
    assert len(bodies) > 10
    # A form has no model of ours: its route makes one of what it takes.
    ours = {kind for kind in bodies if not kind.__module__.startswith("fastapi")}
    assert [kind for kind in ours | params if not issubclass(kind, Body)] == []


def _nested(depth: int) -> Any:
    value: Any = "the bottom"
    for level in range(depth):
        value = [value] if level % 2 else {"next": value}
    return value


def test_what_is_nested_deeper_than_it_could_be_answered_is_refused_and_what_is_not_is_answered() -> None:
    with pytest.raises(ValidationError, match="nested more than 64 deep"):
        ThreadCreate.model_validate({"metadata": _nested(66)})
    deepest = ThreadCreate.model_validate({"metadata": {"next": _nested(DEEPEST_JSON - 2)}}).metadata
    thread = Thread(
        thread_id=uuid4(),
        account_id="account",
        metadata=deepest,
        is_public=False,
        last_run_status=None,
        created_at=NOW,
        updated_at=NOW,
    )
    assert "the bottom" in WireThread.of(thread).model_dump_json()


@pytest.mark.parametrize("shape", [ThreadCreate, wire.ThreadPatch, RunCreate])
def test_metadata_that_would_make_lists_too_large_is_refused(shape: type[BaseModel]) -> None:
    fields = {"assistant_id": "agent"} if shape is RunCreate else {}
    with pytest.raises(ValidationError, match="65537 bytes and may have 65536"):
        shape.model_validate({**fields, "metadata": {"a": "é" * 32_762 + "x" * 4}})
    shape.model_validate({**fields, "metadata": {"a": "é" * 32_762 + "x" * 3}})
