"""What every provider demands of the messages that a model is given."""

from collections.abc import Sequence

from shared.domain import Json

_CONTINUE: Json = {"role": "user", "content": "continue"}


def problems(messages: Sequence[Json]) -> list[str]:
    """Native calls without their results directly behind, results without a call, messages that say nothing."""
    found: list[str] = []
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                found.append(f"a result without a call: {message}")
            else:
                open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            found.append(f"calls {open_calls} have no result before {message}")
        calls = message.get("tool_calls") or []
        open_calls = [call["id"] for call in calls]
        if len(set(open_calls)) != len(open_calls):
            found.append(f"an id twice: {message}")
        if not message.get("content") and not calls:
            found.append(f"it says nothing: {message}")
    if open_calls:
        found.append(f"calls {open_calls} have no result")
    return found


def differences(given: Sequence[Json], stored: Sequence[Json]) -> list[str]:
    """How what a model is given differs from what the thread holds."""
    messages = [message for message in given if message["role"] != "system"]
    if messages and messages[-1] == _CONTINUE and len(messages) == len(stored) + 1:
        messages = messages[:-1]
    return [] if messages == list(stored) else [f"given {messages}, stored {stored}"]
