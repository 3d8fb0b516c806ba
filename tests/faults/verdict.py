"""What must be true of a thread after any fault. A problem begins with the word it counts as: "lost", "duplicated"."""

from collections.abc import Sequence
from typing import Any

TURNS = ["user", "assistant", "tool", "assistant", "tool", "assistant"]
ENDS = {"completed", "failed"}


def script(mark: str, *, tokens: int, note: str = "note", charge: str = "charge", charging: str = "charge") -> str:
    """What a run is told to do: to speak, to ``note``, to speak, to ``charge`` (by the tool ``charging``), to answer
    with ``tokens`` tokens.
    """
    tool = '[[tool {name} {{"key": "{key}"}}]]'
    return " ".join(
        (
            f"{mark} [[first 0]] [[rate 40]] [[tokens 8]]",
            tool.format(name="note", key=note),
            "[[tokens 8]]",
            tool.format(name=charging, key=charge),
            f"[[tokens {tokens}]]",
        )
    )


def log_problems(frames: Sequence[dict[str, Any]], *, run_ids: Sequence[str]) -> list[str]:
    """What is wrong with a thread's log, in which each run of ``run_ids`` ends, or whose end is declared missing."""
    numbers = [frame["seq"] for frame in frames]
    problems: list[str] = []
    if numbers != sorted(set(numbers)):
        problems.append(f"duplicated: numbers {numbers}")
    missing = set(range(1, max(numbers, default=0) + 1)) - set(numbers)
    declared: set[int] = set()
    ends = dict.fromkeys(run_ids, 0)
    for frame in frames:
        data = frame["params"]["data"]
        if data.get("name") == "gap":
            declared |= set(range(data["payload"]["from"], data["payload"]["to"] + 1))
        if frame["method"] == "lifecycle" and data["event"] in ENDS:
            ends[frame["params"]["run_id"]] += 1
    if missing - declared:
        problems.append(f"lost: events {sorted(missing - declared)} without a gap that says so")
    problems += [f"duplicated: the log has {count} ends of run {run_id}" for run_id, count in ends.items() if count > 1]
    without = [run_id for run_id, count in ends.items() if count == 0]
    # One number of those that were declared missing may have been its end.
    if len(without) > len(missing & declared):
        problems.append(f"lost: the log has no end of {without}")
    return problems


def open_calls(messages: Sequence[dict[str, Any]]) -> list[str]:
    """The calls of tools that nothing answers."""
    called = [
        call["id"]
        for message in messages
        if message["type"] == "assistant"
        for call in message["content"].get("tool_calls") or ()
    ]
    answered = {message["content"].get("tool_call_id") for message in messages if message["type"] == "tool"}
    return [f"lost: nothing answers the call {call}" for call in called if call not in answered]


def message_problems(
    messages: Sequence[dict[str, Any]], *, tokens: int, notes: Sequence[str], charges: Sequence[str]
) -> list[str]:
    """What is wrong with a run's messages (``{"type", "content"}``), given the calls that had effects outside."""
    kinds = [message["type"] for message in messages]
    if kinds != TURNS:
        return [f"lost: the messages are {kinds}"]
    problems: list[str] = []
    answer = messages[-1]["content"]["content"]
    if answer.split() != [f"token{number + 1}" for number in range(tokens)]:
        problems.append(f"lost: the answer is {answer!r}")
    noted, charged = messages[2]["content"]["content"], messages[4]["content"]["content"]
    # An idempotent tool has its effect once a call, however often it is called.
    if len(set(notes)) != 1 or "done" not in noted:
        problems.append(f"lost: note had effects {notes} and says {noted!r}")
    if len(charges) > 1:
        problems.append(f"duplicated: charge had effects {charges}")
    honest = "unknown" in charged or ("done" in charged and len(charges) == 1)
    if not honest:
        problems.append(f"lost: charge had effects {charges} and says {charged!r}")
    return problems
