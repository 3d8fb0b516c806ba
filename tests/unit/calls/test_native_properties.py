"""What holds of native calls for any stream and any cut."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import Json
from tests.unit.calls.cutting import NUMBERS, cut, delta, parse_native

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(CHARACTERS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=5), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(CHARACTERS, max_size=8), VALUES, max_size=3)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)


@dataclass(frozen=True)
class Streamed:
    """A call and the texts its deltas carry."""

    call_id: str | None
    name: str
    arguments: Json
    names: list[str]
    pieces: list[str]

    def deltas(self, index: int | None) -> list[Json]:
        """The id comes once, with the first."""
        first, *more = self.names
        return [
            delta(index, self.call_id, first, ""),
            *(delta(index, None, name, None) for name in more),
            *(delta(index, None, None, piece) for piece in self.pieces),
        ]


@st.composite
def _streamed(draw: st.DrawFn, *, whole_name: bool = False, ids: bool = False) -> Streamed:
    name, arguments = draw(NAMES), draw(ARGUMENTS)
    text = json.dumps(arguments, ensure_ascii=draw(st.booleans()))
    if not arguments:
        text = draw(st.sampled_from(["", "{}", " \n"]))
    places = st.lists(st.integers(1, max(1, len(text))), max_size=12)
    # An empty delta in between is what providers send too.
    pieces = [piece for part in cut(text, draw(places)) for piece in draw(st.sampled_from([[part], ["", part]]))]
    names = [name] if whole_name else cut(name, draw(st.lists(st.integers(1, 20), max_size=3)))
    call_id = draw(st.uuids().map(str) if ids else st.none() | st.sampled_from(["", "call_1"]) | st.uuids().map(str))
    return Streamed(call_id, name, arguments, names, pieces)


def _interleaved(data: st.DataObject, streams: list[list[Json]]) -> list[Json]:
    """The streams' deltas, each in its order; the first ones in the order of the streams."""
    places = {id(stream): 0 for stream in streams}
    merged: list[Json] = []
    begun = 0
    while left := [s for s in streams[: begun + 1] if places[id(s)] < len(s)]:
        stream = data.draw(st.sampled_from(left))
        begun += stream is streams[begun] and begun + 1 < len(streams)
        merged.append(stream[places[id(stream)]])
        places[id(stream)] += 1
    return merged


def _chunks(data: st.DataObject, deltas: list[Json]) -> list[list[Json] | None]:
    """Several deltas in a chunk, or one, or none."""
    chunks: list[list[Json] | None] = []
    for one in deltas:
        if chunks and chunks[-1] is not None and data.draw(st.booleans()):
            chunks[-1].append(one)
        else:
            chunks += [[one]] if data.draw(st.booleans()) else [None, [one]]
    return chunks


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_calls_are_the_same_however_they_are_cut_and_mixed(data: st.DataObject) -> None:
    calls = data.draw(st.lists(_streamed(), min_size=1, max_size=4))
    deltas = _interleaved(data, [call.deltas(index) for index, call in enumerate(calls)])

    parsed = parse_native(_chunks(data, deltas))
    in_order = parse_native([call.deltas(index) for index, call in enumerate(calls)])

    assert [(call.name, call.arguments, call.problem) for call in parsed.calls] == [
        (call.name, call.arguments, None) for call in calls
    ]
    assert parsed.calls == in_order.calls
    ids = [call.call_id for call in parsed.calls]
    assert len(set(ids)) == len(ids)
    firsts = {call.call_id: place for place, call in reversed(list(enumerate(calls))) if call.call_id}
    assert all(ids[place] == call_id for call_id, place in firsts.items())


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_calls_without_index_are_told_apart_by_id(data: st.DataObject) -> None:
    calls = data.draw(st.lists(_streamed(ids=True, whole_name=True), min_size=1, max_size=4))
    parsed = parse_native(_chunks(data, [one for call in calls for one in call.deltas(None)]))
    assert [(call.call_id, call.name, call.arguments) for call in parsed.calls] == [
        (call.call_id, call.name, call.arguments) for call in calls
    ]


@given(call=_streamed(), end=st.integers(0, 200), cut_off=st.booleans())
@settings(max_examples=100, deadline=None)
def test_half_of_the_arguments_is_a_problem_or_empty(call: Streamed, end: int, cut_off: bool) -> None:
    text = "".join(call.pieces)[:end]
    parsed = parse_native([[delta(0, call.call_id, call.name, "")], [delta(0, None, None, text)]], cut_off=cut_off)
    (read,) = parsed.calls
    if not text.strip():
        assert read.arguments == (None if cut_off else {})
    elif text.strip() == "".join(call.pieces).strip():
        assert read.arguments == call.arguments
    else:
        assert read.arguments is None
    assert (read.problem is None) == (read.arguments is not None)


JUNK = (
    st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=3) | st.sampled_from(["{}", '{"a":1}', "a", "}"])
)
FUNCTIONS = st.none() | st.fixed_dictionaries({}, optional={"name": JUNK, "arguments": JUNK | ARGUMENTS})
DELTAS = st.fixed_dictionaries({}, optional={"index": JUNK, "id": JUNK, "function": FUNCTIONS, "type": JUNK})


@given(chunks=st.lists(st.none() | st.lists(DELTAS, max_size=4), max_size=12), cut_off=st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_deltas_give_calls_that_can_be_told(chunks: list[list[Json] | None], cut_off: bool) -> None:
    parsed = parse_native(chunks, cut_off=cut_off)
    one_by_one: list[list[Any]] = [[one] for chunk in chunks for one in chunk or []]
    assert parse_native(one_by_one, cut_off=cut_off).calls == parsed.calls
    ids = [call.call_id for call in parsed.calls]
    assert len(set(ids)) == len(ids)
    assert all(ids)
    assert [call.index for call in parsed.calls] == list(range(len(ids)))
    for call in parsed.calls:
        assert (call.arguments is None) == (call.problem is not None)
        function = call.message_form()["function"]
        assert isinstance(json.loads(function["arguments"]), dict)
        assert 1 <= len(function["name"]) <= 64
