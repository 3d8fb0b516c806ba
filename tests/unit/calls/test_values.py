"""The schema decides what a parameter's text is, and the text never does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.runner.calls.values import value_of

ROOT = {
    "$defs": {
        "Color": {"enum": ["red", "green"], "type": "string"},
        "Point": {"type": "object", "properties": {"x": {"type": "integer"}}},
        "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "integer"}]},
        "Itself": {"$ref": "#/$defs/Itself"},
    }
}
STRING = {"type": "string"}
STRING_OR_NULL = {"anyOf": [STRING, {"type": "null"}]}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("123", STRING, "123"),
        ("true", STRING, "true"),
        ("null", STRING, "null"),
        ('{"a": 1}', STRING, '{"a": 1}'),
        ("\n two lines\n", STRING, "\n two lines\n"),
        ("123", {}, "123"),
        ("123", True, "123"),
        ("123", None, "123"),
        ("123", {"type": "anything"}, "123"),
        ("\n12\n", {"type": "integer"}, 12),
        ("-3", {"type": "integer"}, -3),
        ("3.0", {"type": "integer"}, 3),
        ("3", {"type": "number"}, 3),
        ("3.0", {"type": "number"}, 3.0),
        (" -.5e2 ", {"type": "number"}, -50.0),
        ("true", {"type": "boolean"}, True),
        ("True", {"type": "boolean"}, True),
        ("no", {"type": "boolean"}, False),
        ("0", {"type": "boolean"}, False),
        (' ["1", 2] ', {"type": "array"}, ["1", 2]),
        ('{"a": null}', {"type": "object"}, {"a": None}),
        ('{"a": 1}', {"properties": {"a": {}}}, {"a": 1}),
        ("[1]", {"items": {"type": "integer"}}, [1]),
        ("null", {"type": ["integer", "null"]}, None),
        ("null", {"type": "integer", "nullable": True}, None),
        ("null", STRING_OR_NULL, None),
        ("nullable", STRING_OR_NULL, "nullable"),
        ("7", STRING_OR_NULL, "7"),
        ("7", {"anyOf": [{"type": "integer"}, STRING]}, "7"),
        ("true", {"type": ["boolean", "string"]}, "true"),
        ('["a.txt"]', {"anyOf": [STRING, {"type": "array"}]}, ["a.txt"]),
        ("[draft", {"anyOf": [STRING, {"type": "array"}]}, "[draft"),
        ('["a"]', {"anyOf": [STRING, {"type": "object"}]}, '["a"]'),
        ("7", {"oneOf": [{"type": "boolean"}, {"type": "integer"}]}, 7),
        ("1.5", {"anyOf": [{"type": "integer"}, {"type": "number"}]}, 1.5),
        ("red", {"enum": ["red", "green"]}, "red"),
        ("\nred\n", {"enum": ["red", "green"]}, "red"),
        ('"red"', {"enum": ["red", "green"]}, "red"),
        (" red", {"enum": ["red", " red"]}, " red"),
        ("2", {"enum": [1, 2]}, 2),
        ("1", {"enum": ["1", 1]}, "1"),
        ("null", {"enum": ["a", None]}, None),
        ("fixed", {"const": "fixed"}, "fixed"),
        ("blue", {"anyOf": [{"enum": ["red"]}, STRING]}, "blue"),
        ("green", {"$ref": "#/$defs/Color"}, "green"),
        ('{"x": 1}', {"allOf": [{"$ref": "#/$defs/Point"}], "description": "where"}, {"x": 1}),
        ("4", {"$ref": "#/$defs/Loop"}, 4),
        ("4", {"$ref": "#/$defs/Missing"}, "4"),
        ("4", {"$ref": "https://example.com/schema"}, "4"),
    ],
)
def test_text_is_read_by_its_schema(text: str, schema: object, value: Any) -> None:
    read = value_of(text, schema, root=ROOT)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "schema", "told"),
    [
        ("abc", {"type": "integer"}, 'must be an integer such as 3, not "abc"'),
        ("3.5", {"type": "integer"}, "must be an integer"),
        ("1_000", {"type": "integer"}, "must be an integer"),
        ("٣", {"type": "integer"}, "must be an integer"),
        ("9" * 5000, {"type": "integer"}, "must be an integer"),
        ("", {"type": "integer"}, 'must be an integer such as 3, not ""'),
        ("1e999", {"type": "number"}, "must be a number"),
        ("NaN", {"type": "number"}, "must be a number"),
        ("maybe", {"type": "boolean"}, "must be true or false"),
        ("a, b", {"type": "array"}, 'must be a JSON array such as ["a", "b"], not "a, b"'),
        ('["a"', {"type": "array"}, "it ends too early"),
        ("['a']", {"type": "array"}, "at character 1"),
        ('{"a": 1} }', {"type": "object"}, "after its end there is more"),
        ('{"a": NaN}', {"type": "object"}, "NaN is not a JSON value"),
        ("[" * 100_000, {"type": "array"}, "nested deeper than 100 levels"),
        ('{"a": "\\u0000"}', {"type": "object"}, "U+0000"),
        ('["\\ud83d"]', {"type": "array"}, "half of a surrogate pair"),
        ("[1e999]", {"type": "array"}, "too large"),
        ("[1]", {"type": "object"}, "must be a JSON object"),
        ("blue", {"$ref": "#/$defs/Color"}, 'must be one of "red", "green", not "blue"'),
        ("x", {"type": ["integer", "null"]}, "must be an integer such as 3 or null"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_what_would(text: str, schema: object, told: str) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        value_of(text, schema, root=ROOT)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 400


SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["string", "integer", "#/$defs/Loop", "#/$defs/Itself", "#/x/~1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "nullable", "items"]), inner
        )
    ),
    max_leaves=12,
)


@given(text=st.text() | st.sampled_from(["null", "1", "true", "[1]", "{}"]), schema=SCHEMAS)
def test_a_schema_from_outside_may_be_anything(text: str, schema: Any) -> None:
    try:
        value = value_of(text, schema, root=ROOT)
    except ValueError as error:
        assert str(error).startswith("must be ")
    else:
        assert not isinstance(value, str) or isinstance(schema, dict) or value == text


@given(text=st.text())
def test_a_string_is_its_text(text: str) -> None:
    assert value_of(text, STRING, root={}) == text
