"""What holds of XML calls for any text and any cut."""

import json
import re
from dataclasses import dataclass
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.runner.calls.tags import MAX_TAG
from functions.runner.calls.xml import XmlCalls
from shared.domain import Json
from tests.unit.calls.cutting import FLOATS, INTEGERS, MESSAGE_ID, NUMBERS, Parsed, cut, parse_xml

HELD_BACK = len("<function_calls>") - 1
PIECES = [
    *("<function_calls>", "</function_calls>", "</function_calls\n>", "function_calls", "<function_calls >"),
    *('<invoke name="f">', "<invoke name='g' >", '<invoke name="h"/>', "<invoke>", "<invoke", "<invoked>"),
    *("</invoke>", "</invoke >", '<parameter name="p">', '<parameter name="q"\n>', '<parameter name="r"/>'),
    *("<parameter>", "</parameter>", "</parameter\t>", "</parameter", "<parameters>", "name=", "<b>", "<!-- x -->"),
    *("<", ">", "/", "</", " ", "\n", '"', "'", "&lt;", "word", "1", "{}", "é", "🎈", "\x00"),
    # Longer ones, so that the depths are reached often.
    *('<function_calls><invoke name="f">', '<function_calls>\n<invoke name="f"><parameter name="p">'),
    *("</parameter></invoke>", "</parameter></invoke></function_calls>", "</invoke></function_calls>"),
]
SOUP = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join)
CUTS = st.lists(st.integers(0, 2_000), max_size=30)
SCHEMAS: dict[str, Json] = {
    "f": {"properties": {"p": {"type": "string"}, "q": {"type": "integer"}}},
    "g": {"properties": {"p": {"type": "boolean"}, "r": {"type": "array"}}},
}


@given(text=SOUP, places=CUTS, cut_off=st.booleans())
@settings(max_examples=1_000, deadline=None)
@example(text="<function_calls>" + "<invoke " + "x" * MAX_TAG + ">", places=[], cut_off=False)
def test_any_text_gives_the_same_however_it_is_cut(text: str, places: list[int], cut_off: bool) -> None:
    whole = parse_xml([text], SCHEMAS, cut_off=cut_off)
    assert parse_xml(list(text), SCHEMAS, cut_off=cut_off) == whole
    assert parse_xml(cut(text, places), SCHEMAS, cut_off=cut_off) == whole
    _require_sound(text, whole)


def _require_sound(text: str, parsed: Parsed) -> None:
    assert parsed.visible == _visible(text)
    assert [call.call_id for call in parsed.calls] == [f"{MESSAGE_ID}-x{place}" for place in range(len(parsed.calls))]
    end = 0
    for call in parsed.calls:
        assert (call.arguments is None) == (call.problem is not None)
        assert call.start is not None
        assert call.end is not None
        assert end <= call.start <= call.end
        assert text[call.start : call.end] == call.raw
        end = call.end


# The grammar once more, for a whole text at once: what `functions.runner.calls` decides character by character.
_ATTRIBUTES = r"(?:[\s/][^<>]*+)?"
_PARAMETER = rf"<parameter(?:{_ATTRIBUTES}(?<=/)>|{_ATTRIBUTES}>(?s:.*?)(?:</parameter\s*+>|\Z))"
_OPEN_INVOKE = rf"<invoke{_ATTRIBUTES}>"
_INVOKE = (
    rf"<invoke{_ATTRIBUTES}(?<!/)>"
    rf"(?>{_PARAMETER}|(?!</invoke\s*+>|{_OPEN_INVOKE}|</function_calls\s*+>)(?s:.))*+(?:</invoke\s*+>)?"
)
_BLOCK = re.compile(rf"<function_calls>(?>{_INVOKE}|(?!</function_calls\s*+>)(?s:.))*+(?:</function_calls\s*+>|\Z)")


def _visible(text: str) -> str:
    # A tag over the limit is text, which the expression does not know.
    long = re.search(rf"<[^<>]{{{MAX_TAG - 1},}}>", text)
    return _BLOCK.sub("", text) if long is None else parse_xml([text]).visible


@given(text=st.text() | SOUP.map(lambda soup: soup.replace("<function_calls>", "<function_call>")))
def test_text_without_a_block_is_visible_and_waits_for_nothing(text: str) -> None:
    parser, visible = XmlCalls(MESSAGE_ID, SCHEMAS.get), ""
    for place, character in enumerate(text, 1):
        more, calls = parser.feed(character)
        visible += more
        assert calls == []
        held = text[len(visible) : place]
        assert visible == text[: len(visible)]
        assert len(held) <= HELD_BACK
        assert "<function_calls>".startswith(held)
    more, calls = parser.finish()
    assert (visible + more, calls) == (text, [])


@dataclass(frozen=True)
class Written:
    """A call, and how it is written."""

    name: str
    arguments: Json
    schema: Json
    markup: str


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
ATTRIBUTES = st.text(CHARACTERS, min_size=1, max_size=20).filter(lambda name: name == name.strip())
SPACES = st.sampled_from(["", " ", "\n", "\n\t  "])
TEXTS = (st.text(CHARACTERS) | SOUP).filter(lambda text: "\x00" not in text and not re.search(r"</parameter\s*>", text))
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(CHARACTERS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS, max_size=5), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def _value(draw: st.DrawFn) -> tuple[str, Any, str]:
    """A JSON Schema type, a value of it, and its text."""
    kind = draw(st.sampled_from(["string", "integer", "number", "boolean", "array", "object"]))
    if kind == "string":
        text = draw(TEXTS | st.integers().map(str) | st.sampled_from(["true", "null", "{}", "[1]"]))
        return kind, text, text
    value = draw(
        {
            "integer": INTEGERS,
            "number": FLOATS,
            "boolean": st.booleans(),
            "array": st.lists(VALUES, max_size=4),
            "object": st.dictionaries(st.text(CHARACTERS, max_size=5), VALUES, max_size=4),
        }[kind]
    )
    # A slash may be escaped in JSON: so no value needs the one tag that a parameter cannot contain.
    text = json.dumps(value, ensure_ascii=draw(st.booleans())).replace("</", "<\\/")
    return kind, value, draw(SPACES) + text + draw(SPACES)


@st.composite
def _written(draw: st.DrawFn) -> Written:
    name = draw(NAMES)
    arguments: Json = {}
    properties: Json = {}
    parameters = ""
    for parameter in draw(st.lists(ATTRIBUTES, unique=True, max_size=4)):
        kind, arguments[parameter], text = draw(_value())
        properties[parameter] = {"type": kind}
        parameters += f"<parameter{_attribute(draw, parameter)}>{text}</parameter{draw(SPACES)}>{draw(SPACES)}"
    markup = f"<invoke{_attribute(draw, name)}>{draw(SPACES)}{parameters}</invoke{draw(SPACES)}>"
    return Written(name, arguments, {"type": "object", "properties": properties}, markup)


def _attribute(draw: st.DrawFn, name: str) -> str:
    escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quote, entity = draw(st.sampled_from([('"', "&quot;"), ("'", "&apos;")]))
    space = draw(SPACES)
    return f" {space}name{space}={space}{quote}{escaped.replace(quote, entity)}{quote}{space}"


VISIBLE = (st.text() | SOUP).filter(lambda text: "<function_calls>" not in text)
MESSAGES = st.lists(st.tuples(VISIBLE, st.lists(_written(), min_size=1, max_size=3)), max_size=3)


@given(blocks=MESSAGES, tail=VISIBLE, places=CUTS, spaces=SPACES)
@settings(max_examples=120, deadline=None)
def test_what_is_written_is_read_however_it_is_cut(
    blocks: list[tuple[str, list[Written]]], tail: str, places: list[int], spaces: str
) -> None:
    written: dict[str, Written] = {}
    text = ""
    for visible, calls in blocks:
        text += f"{visible}<function_calls>{spaces}"
        for call in calls:
            if call.name not in written:
                written[call.name] = call
                text += call.markup + spaces
            else:
                # One tool has one schema.
                text += written[call.name].markup + spaces
        text += "</function_calls>"
    text += tail
    expected = [written[call.name] for _, calls in blocks for call in calls]
    schemas = {call.name: call.schema for call in expected}

    parsed = parse_xml(cut(text, places), schemas)

    assert parsed == parse_xml(list(text), schemas)
    assert [call.problem for call in parsed.calls] == [None] * len(expected)
    assert [(call.name, call.arguments, call.raw) for call in parsed.calls] == [
        (call.name, call.arguments, call.markup) for call in expected
    ]
    assert all(
        type(value) is type(call.arguments[name])
        for call, read in zip(expected, parsed.calls, strict=True)
        for name, value in (read.arguments or {}).items()
    )
    assert parsed.visible == "".join(visible for visible, _ in blocks) + tail
    assert parsed.before_finish == len(expected)
    for number, call in enumerate(parsed.calls, 1):
        assert parse_xml([text[: call.end]], schemas).calls == parsed.calls[:number]


@given(call=_written(), before=VISIBLE)
@settings(max_examples=40, deadline=None)
def test_at_every_cut_the_call_comes_at_its_last_character(call: Written, before: str) -> None:
    text = f"{before}<function_calls>{call.markup}</function_calls>"
    end = text.rindex("</function_calls>")
    schemas = {call.name: call.schema}
    parser = XmlCalls(MESSAGE_ID, schemas.get)
    given_out_at = [place for place, character in enumerate(text, 1) if parser.feed(character)[1]]
    assert given_out_at == [end]
    whole = parse_xml([text], schemas)
    for place in range(len(text) + 1):
        assert parse_xml([text[:place], text[place:]], schemas) == whole


@given(text=SOUP, places=CUTS)
@settings(max_examples=500, deadline=None)
def test_a_text_that_ends_anywhere_shows_nothing_that_it_later_takes_back(text: str, places: list[int]) -> None:
    parser, visible = XmlCalls(MESSAGE_ID, SCHEMAS.get), ""
    calls: list[Any] = []
    for piece in cut(text, places):
        more, complete = parser.feed(piece)
        visible += more
        calls += complete
    whole = parse_xml([text], SCHEMAS)
    assert whole.visible.startswith(visible)
    assert whole.calls[: len(calls)] == calls
    assert "<function_calls>" not in visible
