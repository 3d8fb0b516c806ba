"""Long messages are shortened for the model, and what must survive does."""

import json
import re
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.context.compression import LONGEST, compress
from shared.domain import Json

ID = UUID("11111111-2222-3333-4444-555555555555")
HINT = f'... (truncated)\n\nmessage_id "{ID}"\nUse expand_message tool to see contents'


def test_a_long_text_is_cut_and_says_how_to_see_the_rest() -> None:
    text = "".join(chr(ord("a") + place % 26) for place in range(10_000))
    message: Json = {"role": "tool", "tool_call_id": "c", "name": "read", "content": text}
    assert compress(message, ID) == {**message, "content": text[:3000] + HINT}
    assert message["content"] == text


@pytest.mark.parametrize("content", ["", "x" * LONGEST, None, [{"type": "text", "text": "x" * LONGEST}]])
def test_what_is_not_long_is_the_same_object(content: object) -> None:
    message: Json = {"role": "user", "content": content}
    assert compress(message, ID) is message


def test_of_a_list_the_first_characters_of_all_text_stay_and_so_do_images() -> None:
    image: Json = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    blocks = [
        {"type": "text", "text": "a" * 2000},
        image,
        {"type": "text", "text": "b" * 2000},
        image,
        {"type": "text", "text": "c" * 50},
    ]
    assert compress({"role": "user", "content": blocks}, ID)["content"] == [
        {"type": "text", "text": "a" * 2000},
        image,
        {"type": "text", "text": "b" * 1000 + HINT},
        image,
    ]


def test_a_list_cut_between_two_blocks_has_its_hint_too() -> None:
    blocks = [{"type": "text", "text": "a" * LONGEST}, {"type": "text", "text": "b"}]
    assert compress({"role": "user", "content": blocks}, ID)["content"] == [
        {"type": "text", "text": "a" * LONGEST + HINT}
    ]


def test_calls_in_a_text_stay_beside_their_results() -> None:
    def calls(name: str, value: str) -> str:
        return (
            f'<function_calls>\n<invoke name="{name}">\n<parameter name="text">{value}</parameter>\n'
            f'<parameter name="path">/tmp/a</parameter>\n</invoke>\n</function_calls>'
        )

    text = "r" * 5000 + calls("first", "v" * 9000) + "between" + calls("second", "short")
    shorter = compress({"role": "assistant", "content": text}, ID)["content"]
    assert re.findall(r'<invoke name="(\w+)">', shorter) == ["first", "second"]
    assert shorter.count("</invoke>") == shorter.count("</function_calls>") == 2
    assert shorter.count('<parameter name="path">/tmp/a</parameter>') == 2
    assert '<parameter name="text">' + "v" * 1000 + "... (truncated)</parameter>" in shorter
    assert len(shorter) < LONGEST + 2000
    assert shorter.endswith(HINT)


def test_arguments_of_native_calls_stay_valid_json() -> None:
    arguments = {"path": "/work/a", "content": "x" * 50_000, "lines": ["y" * 5000, 3], "mode": None}
    call = {"id": "c", "type": "function", "function": {"name": "write", "arguments": json.dumps(arguments)}}
    shorter = compress({"role": "assistant", "content": None, "tool_calls": [call]}, ID)
    (kept,) = shorter["tool_calls"]
    assert (kept["id"], kept["function"]["name"]) == ("c", "write")
    values = json.loads(kept["function"]["arguments"])
    assert (values["path"], values["mode"], values["lines"][1]) == ("/work/a", None, 3)
    assert values["content"] == "x" * 1000 + "... (truncated)"
    assert json.loads(call["function"]["arguments"]) == arguments


def test_malformed_arguments_are_left_alone() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "write", "arguments": '{"a": "' + "x" * 5000}}
    message: Json = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert compress(message, ID) is message


_pieces = st.sampled_from(
    [
        "word ",
        "x" * 1500,
        "<function_calls>",
        '<invoke name="f">',
        '<parameter name="p">',
        "</parameter>",
        "</invoke>",
        "</function_calls>",
        "你好" * 400,
    ]
)
_texts = st.lists(_pieces, max_size=12).map("".join)


@given(
    content=st.one_of(
        _texts, st.lists(st.builds(lambda text: {"type": "text", "text": text}, _texts), max_size=4), st.none()
    ),
    value=_texts,
)
def test_compressing_twice_changes_nothing_more(content: object, value: str) -> None:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": json.dumps({"p": value, "q": [value]})},
    }
    message: Json = {"role": "assistant", "content": content, "tool_calls": [call]}
    message_id = uuid4()
    once = compress(message, message_id)
    assert compress(once, message_id) == once
