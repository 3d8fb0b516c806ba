"""What happens to one thread: a script of answers, runs with decisions, attempts with faults."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from shared.domain import Json
from tests.integration.loop.faults import Action, Fault, Kind
from tests.integration.loop.script import Answer, Call


@dataclass(frozen=True)
class AttemptPlan:
    """One attempt; ``taken_back``: a run that was handed over goes back to the queue before it."""

    faults: Sequence[Fault] = ()
    taken_back: bool = False


@dataclass(frozen=True)
class RunPlan:
    """One run; ``approves``: what it says, in order, about the calls that await approval (``None``: nothing).

    After these attempts come others without faults, until the run has ended.
    """

    attempts: Sequence[AttemptPlan] = ()
    approves: Sequence[bool | None] = ()


@dataclass(frozen=True)
class Scenario:
    """``processor``: the fields of the assistant's ``ProcessorConfig``. ``defective``: a store refuses what is said.

    ``provider_key``: the key that the assistant names.
    """

    script: Sequence[Answer] = ()
    runs: Sequence[RunPlan] = (RunPlan(),)
    processor: Json = field(default_factory=dict[str, Any])
    defective: bool = False
    provider_key: str | None = None


_DATABASE: dict[Kind, Sequence[Action]] = {
    "begin": ("die", "pause", "stop", "drain", "lose", "expire", "out_of_time", "low", "timed_out", "unavailable"),
    "commit": ("die", "stop", "drain", "out_of_time", "timed_out", "unavailable"),
    "committed": ("die", "pause", "stop", "drain", "lose", "expire", "out_of_time", "low", "timed_out", "unavailable"),
}
_ELSEWHERE: Sequence[Action] = ("die", "pause", "stop", "drain", "lose", "expire", "out_of_time", "low", "timed_out")
_ACTIONS: dict[Kind, Sequence[Action]] = {
    **_DATABASE,
    "model": _ELSEWHERE,
    "chunk": _ELSEWHERE,
    "effect": _ELSEWHERE,
    "effected": _ELSEWHERE,
    "append": (*_ELSEWHERE, "unavailable"),
    "appended": (*_ELSEWHERE, "unavailable"),
    "send": ("die", "pause"),
}
_MOST: dict[Kind, int] = {"model": 3, "effect": 3, "effected": 3, "send": 1, "chunk": 10, "append": 8, "appended": 8}

_faults = st.sampled_from(sorted(_ACTIONS)).flatmap(
    lambda kind: st.builds(Fault, st.just(kind), st.integers(0, _MOST.get(kind, 14)), st.sampled_from(_ACTIONS[kind]))
)
_attempts = st.builds(AttemptPlan, st.lists(_faults, max_size=2).map(tuple), st.booleans())
_calls = st.builds(
    Call,
    st.sampled_from(("put", "post", "post", "pay", "sign", "fail", "ask", "complete", "missing")),
    st.sampled_from(("native", "native", "xml")),
    st.sampled_from((False, False, False, False, True)),
)
_answers = st.builds(
    Answer,
    st.lists(_calls, max_size=3).map(tuple),
    st.sampled_from(("stop",) * 8 + ("length", "length", "broken", "broken", "refused", "wrong", "empty", "filtered")),
    st.integers(1, 8),
    st.sampled_from(("unique", "unique", "repeated", "none", "endless", "nul")),
)
_processors = st.fixed_dictionaries(
    {
        "native_tool_calling": st.just(True),
        "xml_tool_calling": st.just(True),
        "execute_on_stream": st.booleans(),
        "tool_execution_strategy": st.sampled_from(("sequential", "parallel")),
        "xml_adding_strategy": st.sampled_from(("assistant_message", "user_message")),
        "max_xml_tool_calls": st.sampled_from((0, 0, 1)),
    }
)
_runs = st.builds(
    RunPlan,
    st.lists(_attempts, max_size=4).map(tuple),
    st.lists(st.sampled_from((True, True, False, None)), max_size=3).map(tuple),
)
scenarios = st.builds(
    Scenario, st.lists(_answers, max_size=6).map(tuple), st.lists(_runs, min_size=1, max_size=3).map(tuple), _processors
)
