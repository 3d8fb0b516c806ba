"""Schemas of strangers: bounded while their references are put in place, and trusted in nothing."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.runner.tools.schema import DEEPEST, LARGEST, SchemaTooLargeError, simplified

type Json = dict[str, Any]


def doubling(levels: int) -> Json:
    """Each definition names the next one twice."""
    definitions: Json = {
        f"d{level}": {"properties": {side: {"$ref": f"#/$defs/d{level + 1}"} for side in "ab"}}
        for level in range(levels)
    }
    definitions[f"d{levels}"] = {"type": "string", "description": "x" * 50}
    return {"type": "object", "properties": {"root": {"$ref": "#/$defs/d0"}}, "$defs": definitions}


def test_a_kilobyte_that_becomes_gigabytes_is_refused_before_it_does() -> None:
    bomb = doubling(25)
    assert len(json.dumps(bomb)) < 4_000
    tracemalloc.start()
    try:
        with pytest.raises(SchemaTooLargeError, match=str(LARGEST)):
            simplified(bomb)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4_000_000


def test_what_names_itself_many_times_over_is_bounded_too() -> None:
    names = [f"d{number}" for number in range(12)]
    definitions = {name: {"properties": {other: {"$ref": f"#/$defs/{other}"} for other in names}} for name in names}
    with pytest.raises(SchemaTooLargeError):
        simplified({"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": definitions})


def test_what_is_too_deep_is_refused() -> None:
    chain: Json = {f"d{level}": {"items": {"$ref": f"#/$defs/d{level + 1}"}} for level in range(20_000)}
    with pytest.raises(SchemaTooLargeError, match=f"deeper than {DEEPEST}"):
        simplified({"properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": chain}, largest=10_000_000)
    nested: Any = "x"
    for _ in range(500):
        nested = [nested]
    with pytest.raises(SchemaTooLargeError, match="deeper"):
        simplified({"properties": {"x": {"default": nested}}})


def test_values_and_names_count() -> None:
    for large in ({"enum": ["x" * 40_000]}, {"x" * 40_000: {}}, {"default": {"x" * 40_000: 1}}):
        with pytest.raises(SchemaTooLargeError):
            simplified({"properties": {"x": large}})


_json = st.recursive(
    st.sampled_from([None, True, 1, "a", "object", "#/$defs/a", "#/$defs/b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["a", "b", "$ref", "$defs", "definitions", "properties", "items", "anyOf", "const", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["$defs", "definitions", "properties", "type", "$ref", "a"]), _json))
def test_whatever_it_is_something_comes_of_it_or_it_is_refused(schema: Json) -> None:
    try:
        simple = simplified(schema, largest=2_000)
    except SchemaTooLargeError:
        return
    # A name and a value may stand beside a keyword that is added.
    assert len(json.dumps(simple)) < 40_000
