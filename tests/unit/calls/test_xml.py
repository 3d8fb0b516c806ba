"""XML calls: what is a call, what is text, and what the model is told about a malformed one."""

import pytest

from functions.runner.calls.tags import MAX_TAG, TagReader
from tests.unit.calls.cutting import MESSAGE_ID, cut, parse_xml

SCHEMAS = {
    "write": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "mode": {"type": "integer"}, "tags": {"type": "array"}},
    }
}


def _block(*invokes: str) -> str:
    return "<function_calls>\n" + "\n".join(invokes) + "\n</function_calls>"


def _invoke(*parameters: tuple[str, str]) -> str:
    inside = "".join(f'<parameter name="{name}">{text}</parameter>\n' for name, text in parameters)
    return f'<invoke name="write">\n{inside}</invoke>'


def test_every_invoke_of_every_block_is_a_call_and_the_rest_is_visible() -> None:
    text = (
        "One.\n"
        + _block(_invoke(("path", "a")), _invoke(("path", "b")))
        + "\nTwo.\n"
        + _block(_invoke(("path", "c")))
        + " 3 < 4."
    )
    parsed = parse_xml([text], SCHEMAS)
    assert parsed.visible == "One.\n\nTwo.\n 3 < 4."
    assert [call.arguments for call in parsed.calls] == [{"path": "a"}, {"path": "b"}, {"path": "c"}]
    assert [call.call_id for call in parsed.calls] == [f"{MESSAGE_ID}-x{index}" for index in range(3)]
    assert parsed.before_finish == 3


def test_the_positions_are_those_of_the_whole_text_and_a_prefix_keeps_its_calls() -> None:
    text = "Ünö 🎈 " + _block(_invoke(("path", "a")), _invoke(("path", "b"))) + "tail"
    calls = parse_xml(cut(text, [3, 30, 50]), SCHEMAS).calls
    assert [text[call.start : call.end] for call in calls] == [call.raw for call in calls]
    assert [call.raw for call in calls] == [_invoke(("path", "a")), _invoke(("path", "b"))]
    for number, call in enumerate(calls, 1):
        kept = parse_xml([text[: call.end]], SCHEMAS)
        assert kept.calls == calls[:number]
        assert kept.visible == "Ünö 🎈 "


def test_a_string_of_digits_stays_a_string_and_the_schema_types_the_rest() -> None:
    parsed = parse_xml(
        [_block(_invoke(("path", "123"), ("mode", "\n420\n"), ("tags", '["a", 1]'), ("unknown", "1")))], SCHEMAS
    )
    assert parsed.calls[0].arguments == {"path": "123", "mode": 420, "tags": ["a", 1], "unknown": "1"}


def test_an_unknown_tool_gets_strings() -> None:
    assert parse_xml([_block(_invoke(("mode", "1")))]).calls[0].arguments == {"mode": "1"}


@pytest.mark.parametrize(
    "text",
    [
        "a < b && c > d",
        "&lt;b&gt; &amp; &quot;",
        "<![CDATA[ x ]]>",
        "<html><body></body></html>",
        _block(_invoke()),
        "</invoke></function_calls>",
        "</parameters>",
        "</parameter x>",
        "</parameter",
        "\n  indented\n",
        "",
    ],
)
def test_a_parameters_text_is_verbatim(text: str) -> None:
    parsed = parse_xml([_block(_invoke(("path", text)))], SCHEMAS)
    assert [(call.arguments, call.problem) for call in parsed.calls] == [({"path": text}, None)]
    assert parsed.visible == ""


@pytest.mark.parametrize(
    "invoke",
    [
        "<invoke name='write'><parameter name='path'>v</parameter></invoke>",
        '<invoke\n  name = "write"\n>\n<parameter\tname="path" >v</parameter\n></invoke >',
        '<invoke id="7" name="write"><parameter type=\'x"y\' name="path">v</parameter></invoke>',
        '<invoke name=" write "><parameter name2="" name="path" name="other">v</parameter></invoke>',
    ],
)
def test_tags_may_be_written_in_several_ways(invoke: str) -> None:
    call = parse_xml([_block(invoke)], SCHEMAS).calls[0]
    assert (call.name, call.arguments, call.problem) == ("write", {"path": "v"}, None)


def test_entities_in_names_are_unescaped_once() -> None:
    call = parse_xml([_block('<invoke name="write"><parameter name="a&amp;lt;&quot;&apos;">v</parameter></invoke>')])
    assert call.calls[0].arguments == {"a&lt;\"'": "v"}


def test_tags_that_end_themselves() -> None:
    calls = parse_xml(
        [_block('<invoke name="list"/>', '<invoke name="write"><parameter name="path" /></invoke>')]
    ).calls
    assert [(call.name, call.arguments) for call in calls] == [("list", {}), ("write", {"path": ""})]


@pytest.mark.parametrize(
    "text",
    [
        "<function_call>",
        "<function_calls >",
        "<FUNCTION_CALLS>",
        "<function_calls",
        "</function_calls>",
        _invoke(("path", "a")),
        "<<b>",
        "<",
    ],
)
def test_what_is_no_block_is_text(text: str) -> None:
    parsed = parse_xml([f"before {text}"])
    assert parsed.visible == f"before {text}"
    assert parsed.calls == []


@pytest.mark.parametrize(
    ("markup", "name", "told"),
    [
        (_block('<invoke name="write"><parameter name="mode">x</parameter></invoke>'), "write", "must be an integer"),
        (_block("<invoke><parameter name='path'>a</parameter></invoke>"), "", '"<invoke>" has no name in quotes'),
        (_block("<invoke name=write></invoke>"), "", "has no name in quotes"),
        (_block('<invoke name="write"><parameter>a</parameter></invoke>'), "write", "has no name in quotes"),
        (_block(_invoke(("path", "a"), ("path", "b"))), "write", "parameter 'path' is given twice"),
        (_block(_invoke(("tags", '["</parameter>"]'))), "write", "cannot be part of a value"),
        (_block('<invoke name="write">path=a</invoke>'), "write", 'outside of its parameters, "path=a"'),
        (_block('<invoke name="write"><parameter name="path">a</parameter>'), "write", "</invoke> is missing"),
        (_block(_invoke(("path", "a\x00b"))), "write", "U+0000"),
        (_block(_invoke(("path", "a\ud83db"))), "write", "half of a surrogate pair"),
        (_block('{"name": "write"}'), "", "is no call"),
        (_block("<invoked name='write'></invoked>"), "", "is no call"),
        (_block('<invoke name="write"><parameters name="path">a</invoke>'), "write", "outside of its parameters"),
        (_block("<write><path>a</path></write>"), "", "is no call"),
        (_block(), "", "An empty block is no call"),
        ("<function_calls>", "", "your answer ended inside of it"),
        ("<function_calls>\n<invo", "", "your answer ended inside of it"),
        ('<function_calls><invoke name="write">', "write", "your answer ended inside of it"),
        ('<function_calls><invoke name="write"><parameter name="path">a</para', "write", "your answer ended inside"),
    ],
)
def test_a_malformed_call_is_a_problem_that_says_what_is_wrong(markup: str, name: str, told: str) -> None:
    parsed = parse_xml([f"text {markup}"], SCHEMAS)
    assert parsed.visible == "text "
    assert [call.name for call in parsed.calls] == [name]
    call = parsed.calls[0]
    assert call.arguments is None
    assert told in (call.problem or "")


def test_a_wrong_form_is_answered_with_the_right_one_and_a_wrong_value_only_with_the_type() -> None:
    form, value = parse_xml([_block("<invoke name='write'>x</invoke>", _invoke(("mode", "x")))], SCHEMAS).calls
    assert '<function_calls>\n<invoke name="write">\n<parameter name=' in (form.problem or "")
    assert "<function_calls>" not in (value.problem or "")


def test_a_malformed_call_takes_nothing_from_the_others() -> None:
    unclosed = '<invoke name="write"><parameter name="path">b</parameter>'
    text = _block(_invoke(("path", "a")), unclosed, _invoke(("path", "c")), "<oops/>", _invoke(("path", "d")))
    calls = parse_xml([text], SCHEMAS).calls
    assert [call.arguments for call in calls] == [{"path": "a"}, None, {"path": "c"}, None, {"path": "d"}]
    assert [call.index for call in calls] == [0, 1, 2, 3, 4]
    assert [text[call.start : call.end] for call in calls] == [call.raw for call in calls]


def test_an_empty_block_is_told_after_one_with_calls_too() -> None:
    calls = parse_xml([_block(_invoke(("path", "a"))) + _block()], SCHEMAS).calls
    assert [call.arguments for call in calls] == [{"path": "a"}, None]


def test_words_between_calls_are_no_call() -> None:
    calls = parse_xml([_block("First:", _invoke(("path", "a")), "then", _invoke(("path", "b")))], SCHEMAS).calls
    assert [call.arguments for call in calls] == [{"path": "a"}, {"path": "b"}]


@pytest.mark.parametrize("end", ["", "\n", "\n</func", "</function_calls"])
def test_whole_calls_need_no_end_of_their_block(end: str) -> None:
    parsed = parse_xml(["<function_calls>" + _invoke(("path", "a")) + end], SCHEMAS)
    assert [call.arguments for call in parsed.calls] == [{"path": "a"}]
    assert parsed.visible == ""


def test_a_call_that_the_length_limit_cut_says_so() -> None:
    text = '<function_calls><invoke name="write"><parameter name="path">aaaa'
    assert "length limit" in (parse_xml([text], cut_off=True).calls[0].problem or "")
    assert "length limit" not in (parse_xml([text]).calls[0].problem or "")


def test_several_wrong_values_are_told_together() -> None:
    call = parse_xml([_block(_invoke(("mode", "x"), ("tags", "y")))], SCHEMAS).calls[0]
    assert "'mode'" in (call.problem or "")
    assert "'tags'" in (call.problem or "")


def test_a_tag_without_end_is_text() -> None:
    long = '<invoke name="' + "x" * MAX_TAG + '">'
    calls = parse_xml([_block(long, _invoke(("path", "a")))], SCHEMAS).calls
    assert [call.arguments for call in calls] == [None, {"path": "a"}]
    just = '<invoke name="' + "x" * (MAX_TAG - len('<invoke name="">')) + '">'
    assert len(parse_xml([_block(f"{just}</invoke>")]).calls[0].name) == MAX_TAG - len('<invoke name="">')


def _characters_looked_at(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many characters the reader has before it, summed over the pieces of one character."""
    looked_at = 0
    feed = TagReader.feed

    def counted(reader: TagReader, piece: str) -> None:
        nonlocal looked_at
        feed(reader, piece)
        looked_at += len(reader._held)

    with monkeypatch.context() as patched:
        patched.setattr(TagReader, "feed", counted)
        parse_xml(list(text))
    return looked_at


@pytest.mark.parametrize("part", ["x", "<b>", "</param", "</parameter x", "a < b\n"])
def test_a_long_parameter_costs_linear_work(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = [_characters_looked_at(_block(_invoke(("path", part * size))), monkeypatch) for size in (2_000, 4_000)]
    assert work[1] < 2.1 * work[0]
    assert work[1] < 10 * len(part) * 4_000 + 2_000


@pytest.mark.parametrize("part", ["</parameter" + " " * 10_000, "<invoke " + "x" * 10_000])
def test_a_tag_that_never_ends_costs_linear_work(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_parameter = _characters_looked_at(_block(_invoke(("path", part))), monkeypatch)
    in_block = _characters_looked_at(_block(part), monkeypatch)
    assert max(in_parameter, in_block) < MAX_TAG**2 + 4 * len(part)
