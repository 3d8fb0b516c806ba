"""Native calls: the ways in which providers send them."""

import json

import pytest

from functions.runner.calls import strict_json
from functions.runner.calls.native import NativeCalls
from tests.unit.calls.cutting import MESSAGE_ID, delta, parse_native


def test_a_call_is_complete_when_the_next_one_begins() -> None:
    calls = NativeCalls(MESSAGE_ID)
    assert calls.feed([delta(0, "a", "search", "")]) == []
    assert calls.feed([delta(0, arguments='{"q": ')]) == []
    assert calls.feed([delta(0, arguments='"x"}')]) == []
    assert [call.call_id for call in calls.feed([delta(1, "b", "open", "{}")])] == ["a"]
    assert calls.feed(None) == []
    assert calls.feed([]) == []
    last = calls.finish()
    assert [(call.call_id, call.index, call.name, call.arguments) for call in last] == [("b", 1, "open", {})]
    assert calls.finish() == []


def test_several_calls_in_one_chunk() -> None:
    parsed = parse_native([[delta(0, "a", "f", "{}"), delta(1, "b", "g", '{"x": 1}'), delta(2, "c", "h", "")]])
    assert [(call.name, call.arguments) for call in parsed.calls] == [("f", {}), ("g", {"x": 1}), ("h", {})]
    assert parsed.before_finish == 2


def test_interleaved_calls_wait_until_they_are_whole() -> None:
    parsed = parse_native(
        [
            [delta(0, "a", "f")],
            [delta(1, "b", "g")],
            [delta(1, arguments='{"x":'), delta(0, arguments='{"y":')],
            [delta(0, arguments="1}"), delta(1, arguments="2}")],
            [delta(2, "c", "h", "{}")],
        ]
    )
    assert [(call.call_id, call.arguments) for call in parsed.calls] == [("a", {"y": 1}), ("b", {"x": 2}), ("c", {})]
    assert parsed.before_finish == 2


def test_calls_keep_the_order_in_which_they_began() -> None:
    parsed = parse_native([[delta(1, "b", "g", "{}")], [delta(0, "a", "f", "{}")]])
    assert [(call.call_id, call.index) for call in parsed.calls] == [("b", 0), ("a", 1)]


def test_a_name_may_be_split_and_an_id_repeated() -> None:
    parsed = parse_native([[delta(0, "a", "sea")], [delta(0, "a", "rch")], [delta(0, "a", None, "{}")]])
    assert [(call.call_id, call.name) for call in parsed.calls] == [("a", "search")]


def test_a_header_that_comes_with_every_delta_counts_once() -> None:
    parsed = parse_native([[delta(0, "a", "f", "")], [delta(0, "a", "f", '{"x"')], [delta(0, "a", "f", ": 1}")]])
    assert [(call.name, call.arguments) for call in parsed.calls] == [("f", {"x": 1})]


def test_an_id_that_changes_with_every_delta_is_the_first_one() -> None:
    parsed = parse_native([[delta(0, "a", "f")], [delta(0, "b", None, '{"x"')], [delta(0, "c", None, ": 1}")]])
    assert [(call.call_id, call.arguments) for call in parsed.calls] == [("a", {"x": 1})]


def test_an_id_may_come_late() -> None:
    parsed = parse_native([[delta(0, None, "f", "{")], [delta(0, "a", None, "}")]])
    assert [(call.call_id, call.name) for call in parsed.calls] == [("a", "f")]


def test_index_zero_for_every_call_is_told_apart_by_id() -> None:
    parsed = parse_native([[delta(0, "a", "f", "{}"), delta(0, "b", "f", "{}")], [delta(0, "c", "g", "")]])
    assert [(call.call_id, call.name) for call in parsed.calls] == [("a", "f"), ("b", "f"), ("c", "g")]


def test_index_zero_for_every_call_without_ids_is_told_apart_by_whole_arguments() -> None:
    parsed = parse_native([[delta(0, None, "f", '{"x": 1}')], [delta(0, None, "f", '{"x": 2}')]])
    assert [call.arguments for call in parsed.calls] == [{"x": 1}, {"x": 2}]


def test_a_header_in_two_deltas_of_one_index_is_one_call() -> None:
    parsed = parse_native([[delta(0, "a", "f"), delta(0, arguments='{"x"')], [delta(0, arguments=": 1}")]])
    assert [(call.call_id, call.arguments) for call in parsed.calls] == [("a", {"x": 1})]


def test_without_index_the_id_decides_then_the_name() -> None:
    by_id = parse_native([[delta(None, "a", "f", "{")], [delta(None, "b", "g", "{}")], [delta(None, "a", None, "}")]])
    assert [(call.call_id, call.arguments) for call in by_id.calls] == [("a", {}), ("b", {})]
    by_name = parse_native(
        [[delta(None, None, "f", '{"x"')], [delta(arguments=": 1}")], [delta(None, None, "g", "{}")]]
    )
    assert [(call.name, call.arguments) for call in by_name.calls] == [("f", {"x": 1}), ("g", {})]


def test_ids_that_are_missing_or_taken_are_made_from_the_message() -> None:
    chunks = [[delta(0, None, "f", "{}"), delta(1, "a", "g", "{}"), delta(2, "a", "h", "{}")]]
    ids = [call.call_id for call in parse_native(chunks).calls]
    assert ids == [f"{MESSAGE_ID}-0", "a", f"{MESSAGE_ID}-2"]
    assert ids == [call.call_id for call in parse_native(chunks).calls]
    stolen = parse_native([[delta(0, f"{MESSAGE_ID}-1", "f", "{}"), delta(1, None, "g", "{}")]])
    assert len({call.call_id for call in stolen.calls}) == 2


@pytest.mark.parametrize("given", ["c" * 2001, "call\0", "call\ud800", "caf\u00e9", "two words", "\n"])
def test_an_id_that_cannot_be_kept_is_made_from_the_message(given: str) -> None:
    calls = parse_native([[delta(0, given, "f", "{}")]]).calls
    assert [call.call_id for call in calls] == [f"{MESSAGE_ID}-0"]


def test_an_id_may_hold_a_signature() -> None:
    given = "call_1__thought__" + "A" * 1900
    assert parse_native([[delta(0, given, "f", "{}")]]).calls[0].call_id == given


def test_a_name_is_made_storable_and_cut() -> None:
    assert parse_native([[delta(0, "a", "f\0" + "x" * 5000, "{}")]]).calls[0].name == "f\ufffd" + "x" * 198


@pytest.mark.parametrize("arguments", [None, "", "  \n", "{}", " {} \n"])
def test_empty_arguments_are_no_arguments(arguments: str | None) -> None:
    call = parse_native([[delta(0, "a", "f", arguments)]]).calls[0]
    assert (call.arguments, call.problem) == ({}, None)
    assert json.loads(call.message_form()["function"]["arguments"]) == {}


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("f", '{"x": 1', "it ends too early"),
        ("f", '{"x": "a', "Unterminated string"),
        ("f", '{"x": 1}}', 'after its end there is more: "}"'),
        ("f", '{"x": 1} and so on', "after its end there is more"),
        ("f", "{'x': 1}", "at character 1"),
        ("f", "[1]", 'not a JSON object but "[1]"'),
        ("f", '"x"', "not a JSON object"),
        ("f", "null", "not a JSON object"),
        ("f", '{"x": NaN}', "NaN is not a JSON value"),
        ("f", '{"x": 1e999}', "too large"),
        ("f", '{"x": "\\u0000"}', "U+0000"),
        ("f", '{"x": "\\ud83d"}', "half of a surrogate pair"),
        ("f", '{"x": ' + "[" * 200 + "]" * 200 + "}", "nested deeper"),
        ("f", '{"x": ' + "[" * 100_000, "nested deeper"),
        ("f", '{"x": ' + "9" * 5_000 + "}", "not valid JSON"),
        (None, '{"x": 1}', "it names no tool"),
    ],
)
def test_a_malformed_call_is_a_problem_and_its_message_is_still_accepted(
    name: str | None, arguments: str, told: str
) -> None:
    call = parse_native([[delta(0, "a", name, arguments)], [delta(1, "b", "g", "{}")]]).calls[0]
    assert call.arguments is None
    assert told in (call.problem or "")
    assert "one JSON object" in (call.problem or "")
    assert len(call.problem or "") < 500
    assert call.raw == arguments
    assert call.message_form() == {
        "id": "a",
        "type": "function",
        "function": {"name": name or "unnamed", "arguments": "{}"},
    }


def test_the_length_limit_makes_the_last_call_a_problem() -> None:
    half = parse_native([[delta(0, "a", "f", '{"x": "aaa')]], cut_off=True).calls[0]
    assert "length limit" in (half.problem or "")
    before, last = parse_native([[delta(0, "a", "f", "")], [delta(1, "b", "g", "")]], cut_off=True).calls
    assert (before.arguments, last.arguments) == ({}, None)
    whole = parse_native([[delta(0, "a", "f", '{"x": 1}')]], cut_off=True).calls[0]
    assert whole.arguments == {"x": 1}


def test_names_are_made_acceptable_for_the_next_request_only() -> None:
    call = parse_native([[delta(0, "a", "my.tool " + "x" * 100, "{}")]]).calls[0]
    assert call.name == "my.tool " + "x" * 100
    assert call.message_form()["function"]["name"] == ("my_tool_" + "x" * 100)[:64]


def test_what_the_model_wrote_is_sent_back_as_it_is() -> None:
    assert parse_native([[delta(0, "a", "f", '{"x":1.0}')]]).calls[0].message_form()["function"] == {
        "name": "f",
        "arguments": '{"x":1.0}',
    }


def test_arguments_are_parsed_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed_characters = 0
    parse = strict_json.parse

    def counted(text: str) -> object:
        nonlocal parsed_characters
        parsed_characters += len(text)
        return parse(text)

    monkeypatch.setattr(strict_json, "parse", counted)
    arguments = json.dumps({"x": [{"y": number} for number in range(2_000)]})
    chunks = [[delta(0, "a", "f")], *([delta(0, None, None, character)] for character in arguments)]
    chunks.append([delta(1, "b", "g", "{}")])
    assert parse_native(chunks).before_finish == 1
    assert parsed_characters < 3 * len(arguments)
