"""A run's events in the modes of ``langgraph-sdk``."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.stream_modes import STREAM_MODES, Part, RunMessages, StateAt, StreamModes, is_head
from shared import events
from shared.domain import AgentRun
from shared.events import Event

NOW = datetime(2025, 1, 1, tzinfo=UTC)
RUN_ID, THREAD_ID, MESSAGE_ID = uuid4(), uuid4(), uuid4()
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
RUN = AgentRun(
    agent_run_id=RUN_ID,
    thread_id=THREAD_ID,
    account_id="account",
    number=1,
    status="running",
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
START = events.message_start(RUN_ID, MESSAGE_ID, metadata={"model": "openai/scripted"})
FINISH = events.message_finish(RUN_ID, USAGE)
CALL = {"type": "tool_call", "id": "call-1", "name": "add", "args": {"a": 1}}
COMPLETED = events.terminal(RUN_ID, "completed", None)


def text(words: str) -> Event:
    return events.block_delta(RUN_ID, 0, {"type": "text-delta", "text": words})


def fed(modes: str | set[str], *told: Event) -> list[Any]:
    """What the events are in these modes."""
    mapper = StreamModes(RUN, frozenset({modes} if isinstance(modes, str) else modes))
    return [
        part
        for seq, event in enumerate(told, start=1)
        for part in mapper.feed(json.loads(events.number(event, generation=THREAD_ID, seq=seq).frame))
    ]


def names(parts: list[Any]) -> list[str]:
    return [part.event if isinstance(part, Part) else type(part).__name__ for part in parts]


def test_messages_grow_until_they_are_complete() -> None:
    parts = fed("messages", START, text("Hel"), text("lo"), events.block_finish(RUN_ID, 1, CALL), FINISH)
    assert names(parts) == ["messages/metadata", *["messages/partial"] * 3, "messages/complete"]
    metadata = parts[0].data[str(MESSAGE_ID)]["metadata"]
    assert (metadata["run_id"], metadata["ls_model_name"]) == (str(RUN_ID), "openai/scripted")
    assert [part.data[0]["content"] for part in parts[1:]] == ["Hel", "Hello", "Hello", "Hello"]
    [complete] = parts[-1].data
    assert complete["tool_calls"] == [CALL]
    assert (complete["id"], complete["type"], complete["usage_metadata"]) == (str(MESSAGE_ID), "ai", USAGE)
    assert parts[1].data[0]["tool_calls"] == []


def test_a_tuple_is_a_chunk_and_its_metadata() -> None:
    thought = events.block_delta(RUN_ID, 0, {"type": "reasoning-delta", "reasoning": "hm"})
    parts = fed("messages-tuple", START, thought, text("Hel"), text("lo"), events.block_finish(RUN_ID, 1, CALL), FINISH)
    assert names(parts) == ["messages"] * 5
    chunks = [part.data[0] for part in parts]
    assert {(chunk["type"], chunk["id"]) for chunk in chunks} == {("AIMessageChunk", str(MESSAGE_ID))}
    assert "".join(chunk["content"] for chunk in chunks) == "Hello"
    assert chunks[0]["additional_kwargs"] == {"reasoning_content": "hm"}
    assert chunks[3]["tool_call_chunks"] == [
        {"type": "tool_call_chunk", "id": "call-1", "name": "add", "args": '{"a": 1}', "index": 1}
    ]
    assert chunks[-1]["usage_metadata"] == USAGE
    assert {part.data[1]["langgraph_node"] for part in parts} == {"agent"}


def test_a_call_that_was_written_wrong_is_told_as_such() -> None:
    wrong = {"type": "invalid_tool_call", "id": "c", "name": "add", "args": "{", "error": "no JSON"}
    [_, partial, _] = fed("messages", START, events.block_finish(RUN_ID, 0, wrong), FINISH)
    assert partial.data[0]["invalid_tool_calls"] == [wrong]
    assert partial.data[0]["tool_calls"] == []


def test_an_abandoned_message_is_removed_and_the_next_one_begins_anew() -> None:
    again = events.message_start(RUN_ID, uuid4(), metadata={})
    parts = fed("messages", START, text("Hel"), events.message_error(RUN_ID, code="x", message="y"), again, text("No"))
    assert names(parts) == [
        "messages/metadata",
        "messages/partial",
        "messages/complete",
        "messages/metadata",
        "messages/partial",
    ]
    assert parts[2].data == [{"type": "remove", "content": "", "id": str(MESSAGE_ID)}]
    assert parts[-1].data[0]["content"] == "No"


def test_values_are_read_where_a_message_or_the_run_ends() -> None:
    assert fed("values", START, text("Hi"), FINISH, COMPLETED) == [
        StateAt("message", MESSAGE_ID),
        StateAt("end"),
        Part("end", None),
    ]
    assert StreamModes(RUN, frozenset({"values"})).begin()[1:] == [StateAt("input")]
    assert StreamModes(RUN, frozenset({"messages"})).begin()[1:] == []


def test_updates_are_what_the_agent_and_the_tools_have_added() -> None:
    result = events.tool_finished(RUN_ID, "call-1", output={"sum": 3})
    parts = fed("updates", START, text("Hi"), FINISH, result, events.tool_error(RUN_ID, "call-2", message="no"))
    assert [list(part.data) for part in parts] == [["agent"], ["tools"], ["tools"]]
    told = [part.data["tools"]["messages"][0] for part in parts[1:]]
    assert [(one["content"], one["status"], one["tool_call_id"]) for one in told] == [
        ('{"sum": 3}', "success", "call-1"),
        ("no", "error", "call-2"),
    ]


@pytest.mark.parametrize(("modes", "event"), [({"messages"}, "values"), ({"updates", "values"}, "updates")])
def test_what_has_to_be_answered_is_told_in_any_mode(modes: set[str], event: str) -> None:
    payload = {"type": "question", "tool": "ask", "arguments": {"text": "Which?"}}
    asked = events.input_requested(RUN_ID, "call-1", payload=payload)
    parts = fed(modes, asked, events.terminal(RUN_ID, "needs_input", None))
    assert parts[0] == Part(event, {"__interrupt__": [{"id": "call-1", "value": payload}]})
    assert names(parts)[-1] == "end"


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        ("failed", {"code": "model_error", "message": "it: broke"}, {"error": "model_error", "message": "it: broke"}),
        ("stopped", {"code": "stop", "message": "the run was stopped"}, None),
        ("timed_out", None, None),
    ],
)
def test_a_run_that_did_not_succeed_ends_with_why(status: Any, error: Any, told: Any) -> None:
    parts = fed("custom", events.terminal(RUN_ID, status, error))
    assert names(parts) == ["error", "end"]
    assert set(parts[0].data) == {"error", "message"}
    assert told is None or parts[0].data == told


def test_tools_are_told_as_they_start_and_end() -> None:
    parts = fed(
        "tools",
        events.tool_started(RUN_ID, "call-1", name="add", arguments={"a": 1}),
        events.tool_finished(RUN_ID, "call-1", output=3),
        events.tool_error(RUN_ID, "call-2", message="no"),
    )
    assert [part.data for part in parts] == [
        {"event": "on_tool_start", "tool_call_id": "call-1", "name": "add", "input": {"a": 1}},
        {"event": "on_tool_end", "tool_call_id": "call-1", "output": 3},
        {"event": "on_tool_error", "tool_call_id": "call-2", "error": "no"},
    ]


def test_events_are_those_of_langchain() -> None:
    parts = fed(
        "events",
        events.lifecycle(RUN_ID, "running"),
        START,
        text("Hi"),
        FINISH,
        events.tool_started(RUN_ID, "call-1", name="add", arguments={}),
        events.tool_finished(RUN_ID, "call-1", output=3),
        events.custom(RUN_ID, "summary", {"tokens": 5}),
        COMPLETED,
    )
    assert names(parts) == [*["events"] * 8, "end"]
    assert [part.data["event"] for part in parts[:-1]] == [
        "on_chain_start",
        "on_chat_model_start",
        "on_chat_model_stream",
        "on_chat_model_end",
        "on_tool_start",
        "on_tool_end",
        "on_custom_event",
        "on_chain_end",
    ]
    assert parts[2].data["data"]["chunk"]["content"] == "Hi"


def test_custom_events_keep_their_names() -> None:
    [part] = fed("custom", events.custom(RUN_ID, "summary", {"tokens": 5}))
    assert part == Part("custom", {"name": "summary", "payload": {"tokens": 5}})


@pytest.mark.parametrize("mode", sorted(STREAM_MODES))
def test_other_runs_of_the_thread_are_not_told_of(mode: str) -> None:
    other: UUID = uuid4()
    assert not fed(
        mode,
        events.message_start(other, uuid4(), metadata={}),
        events.block_delta(other, 0, {"type": "text-delta", "text": "x"}),
        events.message_finish(other, None),
        events.tool_finished(other, "call", output=1),
        events.custom(other, "summary", {}),
        events.input_requested(other, "i", payload={}),
        events.terminal(other, "completed", None),
    )


def test_a_message_with_a_gap_is_not_shown_in_pieces_but_whole() -> None:
    parts = fed("messages", START, text("Hel"), events.gap(first=3, last=5), text("!"), FINISH)
    assert names(parts) == ["messages/metadata", "messages/partial", "RunMessages"]
    # Nor is one whose beginning is lost.
    assert fed("messages", text("!"), FINISH) == [RunMessages()]


def test_behind_a_gap_stands_a_snapshot() -> None:
    messages = [{"type": "human", "content": "hi"}]
    assert fed({"values", "custom"}, events.gap(first=3, last=5), events.values(THREAD_ID, messages)) == [
        Part("custom", {"name": "gap", "payload": {"from": 3, "to": 5}}),
        RunMessages(),
        Part("values", {"messages": messages}),
    ]
    assert fed("values", events.values(THREAD_ID, None)) == [RunMessages(), StateAt("end")]


def test_a_snapshots_calls_are_written_as_langchain_writes_them() -> None:
    call = {"id": "call-1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    message = {"type": "ai", "content": "", "id": "m", "tool_calls": [call]}
    [_, values] = fed("values", events.values(THREAD_ID, [message]))
    assert values.data == {"messages": [{**message, "tool_calls": [CALL]}]}


def test_whole_messages_are_told_in_the_modes_that_have_messages() -> None:
    message = {"type": "ai", "content": "hi", "id": "m"}

    def told(mode: str) -> list[str]:
        return names(list(StreamModes(RUN, frozenset({mode})).messages([message])))

    assert (told("messages"), told("messages-tuple"), told("values")) == (["messages/complete"], ["messages"], [])


def test_what_may_come_first() -> None:
    frames = {
        event: json.loads(events.number(built, generation=THREAD_ID, seq=1).frame)
        for event, built in {
            "running": events.lifecycle(RUN_ID, "running"),
            "queued": events.custom(RUN_ID, "run_queued", {}),
            "stopped": events.terminal(RUN_ID, "stopped", None),
            "delta": text("x"),
            "summary": events.custom(RUN_ID, "summary", {}),
        }.items()
    }
    assert {event for event, frame in frames.items() if is_head(frame)} == {"running", "queued", "stopped"}
