"""Shapes of a thread's states."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pydantic import ValidationError

from functions.api.wire_state import HistorySearch, StateUpdate, WireInterrupt, langchain_message, selected
from shared.domain import Message
from shared.errors import InvalidRequestError

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def test_a_messages_calls_are_written_as_langchain_writes_them() -> None:
    call = {"id": "call-1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    message = Message(
        message_id=uuid4(),
        thread_id=uuid4(),
        run_number=1,
        position=0,
        agent_run_id=None,
        type="assistant",
        is_llm_message=True,
        content={"role": "assistant", "content": "I will.", "tool_calls": [call]},
        metadata={"usage": {"input_tokens": 3}},
        created_at=NOW,
    )
    assert langchain_message(message) == {
        "type": "ai",
        "content": "I will.",
        "id": str(message.message_id),
        "name": None,
        "additional_kwargs": {},
        "response_metadata": {},
        "invalid_tool_calls": [],
        "usage_metadata": {"input_tokens": 3},
        "tool_calls": [{"name": "add", "args": {"a": 1}, "id": "call-1", "type": "tool_call"}],
    }


def test_fields_are_selected_by_name_and_unknown_ones_are_refused() -> None:
    shape = WireInterrupt(id="i", value={"a": 1})
    assert selected(shape, None) == {"id": "i", "value": {"a": 1}}
    assert selected(shape, ["value.a"]) == {"value": {"a": 1}}
    with pytest.raises(InvalidRequestError, match="'nothing'"):
        selected(shape, ["id", "nothing"])


@pytest.mark.parametrize("values", [[], [{"messages": []}], {"other": 1}, {"messages": [], "other": 1}, 7])
def test_a_state_has_nothing_but_messages(values: object) -> None:
    with pytest.raises(ValidationError):
        StateUpdate.model_validate({"values": values})


def test_the_state_before_a_checkpoint_is_asked_for_in_three_forms() -> None:
    wanted = uuid4()
    checkpoint = {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": str(wanted)}
    for before in (str(wanted), checkpoint, {"configurable": checkpoint}):
        assert HistorySearch.model_validate({"before": before}).before_id == wanted
    assert HistorySearch.model_validate({}).before_id is None
