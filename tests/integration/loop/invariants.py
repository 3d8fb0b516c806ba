"""What must be true of every history, whatever happened in it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from functions.runner.execution import MOST_CRASHES
from shared.domain import TERMINAL, Json
from shared.message_ids import is_made_here
from tests.integration.loop import wellformed
from tests.integration.loop.history import History
from tests.integration.loop.script import IDEMPOTENT, NEED_APPROVAL, Call, Given

# What a result says of a call that has had no effect, and of one that may have had it.
_NOT_EXECUTED = (
    "was not executed: it is number",
    "has declined this call",
    "it was not executed",
    "was not executed",
    "is no call",
    "There is no tool",
)
_MAYBE_EXECUTED = ("outcome of this call is unknown", "failed: ValueError")

# What may keep an attempt from charging what it has begun.
_LOSING = frozenset({"die", "pause", "expire", "lose", "unavailable"})

# An answer that ended so is not whole in its message.
_CUT = frozenset({"stopped", "timed_out", "error", "xml_tool_limit", None})


@dataclass(frozen=True)
class Group:
    """An assistant's message and the results behind it."""

    message: Json
    results: Sequence[Json]

    @property
    def text(self) -> str:
        """What it says."""
        return self.message["content"]["content"] or ""

    @property
    def calls(self) -> list[Json]:
        """Its calls, as ``{"id", "name", "form"}``."""
        return self.message["metadata"].get("tool_calls", [])


async def check(history: History) -> None:
    """Everything, at the end of a history."""
    assert not history.violations, history.violations
    messages = await history.messages()
    executions = await history.executions()
    for row in (*messages, *executions):
        for column in ("content", "metadata", "result", "arguments"):
            if isinstance(row.get(column), str):
                row[column] = json.loads(row[column])
    _check_ends(history, [await history.row(ended.run) for ended in history.ended])
    # A client could take any other before it is kept.
    assert all(is_made_here(message["message_id"]) for message in messages)
    contents = [message["content"] for message in messages]
    assert not wellformed.problems(contents), wellformed.problems(contents)
    groups = _groups(messages)
    for group in groups:
        _check_results(group, [e for e in executions if e["assistant_message_id"] == group.message["message_id"]])
    told = _check_texts(history, groups)
    _check_effects(history, groups, told)
    _check_last_answers(history, groups, told)
    _check_charges(history, [charge["usage"] for charge in await history.charged()])
    await _check_log(history)


def _check_ends(history: History, rows: Sequence[Json]) -> None:
    """A run ends once, in a way that something explains."""
    for ended, row in zip(history.ended, rows, strict=True):
        assert row == ended.row, f"a terminal run has changed: {ended.row} -> {row}"
        assert row["status"] in TERMINAL
        happened = {fault.action for attempt in ended.attempts for fault in attempt.happened}
        code = None if row["error"] is None else json.loads(row["error"])["code"]
        if row["status"] == "stopped":
            assert "stop" in happened
        if row["status"] == "timed_out":
            assert "timed_out" in happened
        if code == "internal_error":
            assert happened & {"defect", "refused"} or history.scenario.defective
            # Whatever would come again is not tried again.
            assert ended.attempts[-1].number == ended.attempts[0].number
        elif code == "poison":
            assert (
                sum("die" in {fault.action for fault in attempt.happened} for attempt in ended.attempts) >= MOST_CRASHES
            )
        elif row["status"] == "failed":
            assert code in {"model_rate_limited", "model_bad_request", "model_empty", "content_filter"}, row["error"]
        if row["status"] in ("completed", "needs_input"):
            assert code is None


def _groups(messages: Sequence[Json]) -> list[Group]:
    groups: list[Group] = []
    results: list[Json] = []
    for message in messages:
        if message["type"] == "assistant":
            results = []
            groups.append(Group(message, results))
        elif message["type"] == "tool":
            assert groups and groups[-1].results is results, "a result before any call"
            assert UUID(message["metadata"]["assistant_message_id"]) == groups[-1].message["message_id"], message
            results.append(message)
        else:
            results = []
    return groups


def _check_results(group: Group, executions: Sequence[Json]) -> None:
    """Every call has exactly one result, directly behind its message and in order; no result is without a call."""
    native = [call["id"] for call in group.message["content"].get("tool_calls", [])]
    called = [call["id"] for call in group.calls]
    answered = [result["metadata"]["tool_call_id"] for result in group.results]
    assert native == [call["id"] for call in group.calls if call["form"] == "native"]
    assert sorted(called) == sorted(answered), f"calls {called}, results {answered}: {group}"
    assert {e["call_id"] for e in executions} == set(called)
    assert all(e["answered"] and e["status"] == "finished" for e in executions)
    # Native ones first, as providers want them. Those that a person had to decide about come when they are decided.
    ordered = [call["id"] for form in ("native", "xml") for call in group.calls if call["form"] == form]
    late = {call["id"] for call in group.calls if call["name"] in NEED_APPROVAL}
    at_once = [one for one in ordered if one not in late]
    assert [one for one in answered if one not in late] == at_once, f"calls {called}, results {answered}"
    by_id = {e["call_id"]: e for e in executions}
    for result in group.results:
        output = by_id[result["metadata"]["tool_call_id"]]["result"]["output"]
        said = result["content"]["content"]
        assert (output if isinstance(output, str) else json.dumps(output)[1:-1]) in said or not isinstance(output, str)


def _check_texts(history: History, groups: Sequence[Group]) -> dict[UUID, Given]:
    """Each message is one answer of the model, or its beginning; none is there twice, and they are in order."""
    told: dict[UUID, Given] = {}
    last = -1
    for group in groups:
        given = _given(history, group)
        assert given.number > last, f"answer {given.number} stands behind answer {last}"
        last = given.number
        told[group.message["message_id"]] = given
        reason = group.message["metadata"].get("finish_reason")
        assert given.text.startswith(group.text), f"{group.text!r} is not the beginning of {given.text!r}"
        if reason not in _CUT:
            assert given.whole and group.text == given.text, f"kept {group.text!r} of {given.text!r}"
        limited = reason == "xml_tool_limit"
        if given.whole and not limited and not history.attempts[given.attempt].happened:
            assert len(group.calls) >= len(given.tokens), f"calls of {given.text!r} are missing: {group.calls}"
    return told


def _given(history: History, group: Group) -> Given:
    number = "".join(c for c in group.text.partition("Answer ")[2].partition(".")[0] if c.isdigit())
    if number and f"Answer {number}." in group.text:
        return history.given[int(number)]
    # Cut off before its number was said: the answer that this message's attempt was given is told by its beginning.
    run_id = group.message["agent_run_id"]
    return next(g for g in history.given if g.agent_run_id == run_id and g.text.startswith(group.text))


def _check_effects(history: History, groups: Sequence[Group], told: dict[UUID, Given]) -> None:
    """An idempotent tool has its effect for one call id only, another one at most once; and the model knows."""
    explained: set[str] = set()
    approved = {(ended.run.agent_run_id, call) for ended in history.ended for call, yes in ended.resume.items() if yes}
    for group in groups:
        given = told[group.message["message_id"]]
        tokens = _tokens(given, group)
        for result in group.results:
            call_id = result["metadata"]["tool_call_id"]
            token, call = tokens.get(call_id, (None, None))
            if token is None or call is None:
                assert not result["metadata"]["success"]
                continue
            explained.add(token)
            _check_effect(history, token, call, result, approved=any(one == call_id for _, one in approved))
    unexplained = history.ledger.effects.keys() - explained
    assert not unexplained, f"effects of calls that no message has: {unexplained}"


def _tokens(given: Given, group: Group) -> dict[str, tuple[str, Call]]:
    """Call id -> token and call of the script, by order within each form."""
    found: dict[str, tuple[str, Call]] = {}
    for form in ("native", "xml"):
        scripted = [(token, call) for token, call in given.tokens.items() if call.form == form]
        kept = [call["id"] for call in group.calls if call["form"] == form]
        found |= dict(zip(kept, scripted, strict=False))
    return found


def _check_effect(history: History, token: str, call: Call, result: Json, *, approved: bool) -> None:
    effects = history.ledger.effects.get(token, [])
    said: str = result["content"]["content"]
    success: bool = result["metadata"]["success"]
    what = f"{call} {token}: effects {effects}, success {success}, told {said!r}"
    assert len({effect.call_id for effect in effects}) <= 1, what
    if call.name not in IDEMPOTENT:
        assert len(effects) <= 1, what
    if call.name in NEED_APPROVAL and effects:
        assert approved, what
    if call.name in ("ask", "complete", "missing") or call.malformed:
        assert not effects, what
    elif success:
        assert effects, what
        assert f"done {token}" in said, what
    elif effects:
        assert any(words in said for words in _MAYBE_EXECUTED), what
    else:
        assert any(words in said for words in (*_NOT_EXECUTED, *_MAYBE_EXECUTED)), what
    if call.name in IDEMPOTENT and not call.malformed:
        assert "the process that executed it died" not in said, what


def _check_last_answers(history: History, groups: Sequence[Group], told: dict[UUID, Given]) -> None:
    """A run that completed ends with the last answer that it was given, whole."""
    asleep = {attempt.number for attempt in history.attempts if attempt.superseded}
    for ended in history.ended:
        run_id = ended.run.agent_run_id
        own = [group for group in groups if group.message["agent_run_id"] == run_id]
        given = [one for one in history.given if one.agent_run_id == run_id and one.attempt not in asleep]
        if ended.row["status"] == "completed":
            assert own, "a run completed without an answer"
            if given:
                last = told[own[-1].message["message_id"]]
                assert last.number >= given[-1].number, f"answer {given[-1].number} is missing"
        if ended.row["status"] == "needs_input":
            waits = {call["name"] for group in own for call in group.calls} & {"ask", *NEED_APPROVAL}
            assert waits or ended.plan.approves, "a run waits for nothing"


def _check_charges(history: History, usages: Sequence[Json]) -> None:
    """Each answer that a provider has worked on is charged once; none is lost but with who should have charged it."""
    asked = [given for given in history.given if given.answer.ending not in ("refused", "wrong")]
    happened = {attempt.number: {fault.action for fault in attempt.happened} for attempt in history.attempts}
    sure = [given for given in asked if not happened[given.attempt] & _LOSING]
    before_it = sum(fault.kind == "model" for attempt in history.attempts for fault in attempt.happened)
    assert len(sure) <= len(usages) <= len(asked) + before_it, f"{len(usages)} charges for {len(asked)} answers"
    whole = [given for given in sure if given.whole and not history.scenario.processor.get("max_xml_tool_calls")]
    assert sum("estimated" not in usage for usage in usages) >= len(
        [given for given in whole if not happened[given.attempt]]
    )
    for usage in usages:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


async def _check_log(history: History) -> None:
    """Numbers rise, and what is missing is declared; a run has one end, that its row has too."""
    generation = (await history.log()).generation
    frames: list[Any] = []
    missing: set[int] = set()
    declared: set[int] = set()
    before = 0
    for entry in await history.logged():
        frame = json.loads(entry.frame)
        assert frame["seq"] == entry.seq > before
        assert frame["event_id"] == f"{generation}:{entry.seq}"
        missing.update(range(before + 1, entry.seq))
        before = entry.seq
        frames.append(frame)
        data = frame["params"]["data"]
        if data.get("name") == "gap":
            declared.update(range(data["payload"]["from"], data["payload"]["to"] + 1))
    assert missing <= declared, f"nobody was told of {sorted(missing - declared)}"
    words = {"completed": "completed", "needs_input": "interrupted"}
    for ended in history.ended:
        own = [f for f in frames if f["params"].get("run_id") == str(ended.run.agent_run_id)]
        ends = [f for f in own if f["method"] == "lifecycle" and f["params"]["data"]["event"] != "running"]
        assert len(ends) == 1, ends
        assert ends[0] is own[-1], f"something follows the end: {own[own.index(ends[0]) :]}"
        assert ends[0]["params"]["data"]["event"] == words.get(ended.row["status"], "failed")
    _check_tools_told(frames)


def _check_tools_told(frames: Sequence[Json]) -> None:
    """Nobody is told that a call succeeded and that it did not."""
    ends: dict[tuple[str, str], set[str]] = {}
    for frame in frames:
        data = frame["params"]["data"]
        if frame["method"] == "tools" and data["event"] != "tool-started" and "call_t" in data["tool_call_id"]:
            ends.setdefault((frame["params"]["run_id"], data["tool_call_id"]), set()).add(data["event"])
    assert all(len(said) == 1 for said in ends.values()), ends
