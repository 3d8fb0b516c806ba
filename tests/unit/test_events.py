"""Every event we build, against the protocol's own types."""

import json
import math
from collections.abc import Callable
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from langchain_protocol import protocol
from pydantic import ConfigDict, TypeAdapter, with_config

from scripts.asyncapi import LifecycleData
from shared import events
from shared.events import CHANNELS, Channel, Event

# Some of the protocol's types are open: there `_strict` forbids nothing, as the protocol wants it.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.TypedDictExtraConfigWarning")

RUN_ID, THREAD_ID, MESSAGE_ID = uuid4(), uuid4(), uuid4()
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
ERROR = {"code": "model_error", "message": "it broke"}
TEXT = {"type": "text", "text": "hello"}

# Each builder, with the type of its data and of the whole event.
BUILT: list[tuple[str, Event, Any, Any]] = [
    ("gap", events.gap(first=3, last=7), protocol.CustomData, protocol.CustomEvent),
    ("connection_expiring", events.connection_expiring(2**31), protocol.CustomData, protocol.CustomEvent),
    ("values", events.values(THREAD_ID, [{"type": "human", "content": "hi"}]), Any, protocol.ValuesEvent),
    ("terminal", events.terminal(RUN_ID, "stopped", ERROR), protocol.LifecycleData, protocol.LifecycleEvent),
    (
        "terminal with usage",
        events.terminal(RUN_ID, "completed", None, usage={**USAGE, "price_usd": 0.5}),
        LifecycleData,
        protocol.LifecycleEvent,
    ),
    ("running", events.lifecycle(RUN_ID, "running"), protocol.LifecycleData, protocol.LifecycleEvent),
    ("completed", events.lifecycle(RUN_ID, "completed"), protocol.LifecycleData, protocol.LifecycleEvent),
    ("interrupted", events.lifecycle(RUN_ID, "interrupted"), protocol.LifecycleData, protocol.LifecycleEvent),
    ("failed", events.lifecycle(RUN_ID, "failed", error=ERROR), protocol.LifecycleData, protocol.LifecycleEvent),
    (
        "message-start",
        events.message_start(RUN_ID, MESSAGE_ID, metadata={"model": "openai/scripted"}),
        protocol.MessageStartData,
        protocol.MessagesEvent,
    ),
    ("block-start", events.block_start(RUN_ID, 0, TEXT), protocol.ContentBlockStartData, protocol.MessagesEvent),
    (
        "text-delta",
        events.block_delta(RUN_ID, 0, {"type": "text-delta", "text": "he"}),
        protocol.ContentBlockDeltaData,
        protocol.MessagesEvent,
    ),
    (
        "reasoning-delta",
        events.block_delta(RUN_ID, 0, {"type": "reasoning-delta", "reasoning": "hm"}),
        protocol.ContentBlockDeltaData,
        protocol.MessagesEvent,
    ),
    ("block-finish", events.block_finish(RUN_ID, 0, TEXT), protocol.ContentBlockFinishData, protocol.MessagesEvent),
    ("message-finish", events.message_finish(RUN_ID, USAGE), protocol.MessageFinishData, protocol.MessagesEvent),
    ("without usage", events.message_finish(RUN_ID, None), protocol.MessageFinishData, protocol.MessagesEvent),
    ("message-error", events.message_error(RUN_ID, **ERROR), protocol.MessageErrorData, protocol.MessagesEvent),
    (
        "tool-started",
        events.tool_started(RUN_ID, "call-1", name="add", arguments={"a": 1}),
        protocol.ToolStartedData,
        protocol.ToolsEvent,
    ),
    (
        "tool-finished",
        events.tool_finished(RUN_ID, "call-1", output={"sum": 3}),
        protocol.ToolFinishedData,
        protocol.ToolsEvent,
    ),
    ("tool-error", events.tool_error(RUN_ID, "call-1", message="no"), protocol.ToolErrorData, protocol.ToolsEvent),
    (
        "input-requested",
        events.input_requested(RUN_ID, "interrupt-1", payload={"question": "why?"}),
        protocol.InputRequestedData,
        protocol.InputEvent,
    ),
    ("custom", events.custom(RUN_ID, "takeover", {"attempt": 2}), protocol.CustomData, protocol.CustomEvent),
]


def _frame(event: Event, *, seq: int = 43) -> dict[str, Any]:
    return json.loads(events.number(event, generation=THREAD_ID, seq=seq).frame)


def _strict(kind: Any) -> Callable[[object], Any]:
    """A validator that takes no field that the type does not have."""
    if kind is Any:  # the protocol leaves it to the application
        return lambda _: None
    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(kind)).validate_python


@pytest.mark.parametrize(("event", "data_type"), [built[1:3] for built in BUILT], ids=[built[0] for built in BUILT])
def test_the_data_is_of_the_protocols_type_and_has_nothing_else(event: Event, data_type: Any) -> None:
    _strict(data_type)(_frame(event)["params"]["data"])


@pytest.mark.parametrize(("event", "event_type"), [built[1::2] for built in BUILT], ids=[built[0] for built in BUILT])
def test_the_frame_is_of_the_protocols_type(event: Event, event_type: Any) -> None:
    frame = _frame(event)
    TypeAdapter(event_type).validate_python(frame)
    TypeAdapter(protocol.Event).validate_python(frame)


def test_the_check_above_can_fail() -> None:
    delta = {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": "he"}}
    for wrong in ({**delta, "delta": {"type": "text-delta"}}, {**delta, "more": 1}, {**delta, "event": "delta"}):
        with pytest.raises(ValueError, match="validation error"):
            _strict(protocol.ContentBlockDeltaData)(wrong)


def test_every_builder_is_checked() -> None:
    builders = {
        name
        for name, found in vars(events).items()
        if callable(found) and getattr(found, "__annotations__", {}).get("return") is Event
    }
    called = {
        "lifecycle",
        "message_start",
        "block_start",
        "block_delta",
        "block_finish",
        "message_finish",
        "message_error",
        "tool_started",
        "tool_finished",
        "tool_error",
        "input_requested",
        "custom",
        "gap",
        "connection_expiring",
        "terminal",
        "values",
    }
    assert builders == called, "add the new builder to BUILT"


def test_the_envelope() -> None:
    frame = _frame(events.message_finish(RUN_ID, USAGE), seq=43)
    assert {name: frame[name] for name in ("type", "event_id", "seq", "method")} == {
        "type": "event",
        "event_id": f"{THREAD_ID}:43",
        "seq": 43,
        "method": "messages",
    }
    assert frame["params"]["namespace"] == []
    assert UUID(frame["params"]["run_id"]) == RUN_ID


def test_the_timestamp_is_in_milliseconds() -> None:
    timestamp = _frame(events.lifecycle(RUN_ID, "running"))["params"]["timestamp"]
    assert math.floor(math.log10(timestamp)) == 12


def test_the_same_event_under_the_same_number_is_the_same_bytes() -> None:
    event = events.lifecycle(RUN_ID, "running")
    first, again = (events.number(event, generation=THREAD_ID, seq=1) for _ in range(2))
    assert first == again
    assert "\n" not in first.frame


@pytest.mark.parametrize("character", ["x", "é", "\x01", '"', "\\", "😀"])
def test_no_event_is_over_64_kb_whatever_a_tool_says(character: str) -> None:
    text = character * 100_000
    for event in (
        events.tool_started(RUN_ID, "call-1", name="add", arguments={"text": text}),
        events.tool_finished(RUN_ID, "call-1", output=text),
        events.tool_error(RUN_ID, "call-1", message=text),
        events.input_requested(RUN_ID, "interrupt-1", payload={"text": text}),
    ):
        assert len(events.number(event, generation=THREAD_ID, seq=1).frame) <= 64 * 1024


def test_input_is_the_one_channel_whose_method_is_called_otherwise() -> None:
    for channel in get_args(Channel):
        method = Event(channel=channel, data={}, run_id=RUN_ID).method
        assert method == ("input.requested" if channel == "input" else channel)


def test_the_channels_are_the_protocols() -> None:
    words = {word for option in get_args(protocol.Channel) for word in get_args(option) if isinstance(word, str)}
    assert {word for word in words if not word.startswith("custom:")} == CHANNELS == set(get_args(Channel))
