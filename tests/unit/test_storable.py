"""Numbers are bounded where JSON comes in, and nothing else goes into a statement."""

import ast
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from functions.api.wire import InputMessage, RunCreate, ThreadCreate, ThreadPatch, ThreadSearch
from functions.runner.calls import strict_json
from functions.runner.tools.output import UnusableOutputError, usable
from shared.storable import LONGEST_NUMBER, is_storable_number, jsonb, storable

ROOT = Path(__file__).parents[2]
# All that writes jsonb.
STATEMENTS = (*sorted((ROOT / "shared/database").glob("*.py")), *sorted((ROOT / "shared/runs").glob("*.py")))
# JSON that is text in what is stored, and no statement's argument.
TEXTS = {"shared/runs/open_calls.py": 1}
LONG = [1e308, -1e308, 5e-324, 1e-300, 1e41, 10**LONGEST_NUMBER, -(10**4000), 10**5000]


def _written(value: Any) -> str:
    """As jsonb writes numbers."""
    return json.dumps(json.loads(jsonb(value), parse_float=lambda text: format(Decimal(text), "f")))


@pytest.mark.parametrize("number", [0, -0.0, 1e16, 1e38, -1e37, 1e-20, 0.1 + 0.2, 2**63, 10**39, True])
def test_a_number_that_is_short_stays_one(number: float) -> None:
    assert is_storable_number(number)
    assert storable({"a": [number]}) == {"a": [number]}


@pytest.mark.parametrize(
    "number",
    [*LONG, float("inf"), float("nan")],
    ids=lambda number: str(number.hex())[:20] if isinstance(number, float) else hex(number)[:20],
)
def test_a_number_that_would_grow_becomes_text(number: float) -> None:
    assert not is_storable_number(number)
    assert isinstance(storable([number])[0], str)
    assert isinstance(json.loads(jsonb(number)), str)


@given(st.integers() | st.floats())
def test_no_number_is_written_longer_than_the_bound(number: float) -> None:
    value = storable(number)
    assert isinstance(value, str) or len(format(Decimal(repr(value)), "f")) <= LONGEST_NUMBER


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in cast("list[Any]", value) for text in _texts(item)]
    return [value] if isinstance(value, str) else []


@example(["NaN", "\\u0000", "\0", "\ud800"])
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()), st.lists))
def test_whatever_is_json_goes_into_a_statement_and_hardly_grows(value: Any) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    stored = json.loads(jsonb(value), parse_constant=refuse)
    assert not re.search("[\0\ud800-\udfff]", "".join(_texts(stored)))
    assert len(_written(value)) <= 2 * len(json.dumps(value)) + LONGEST_NUMBER * len(
        re.findall(r"\de", json.dumps(value))
    )


@pytest.mark.parametrize("number", [1e308, 5e-324, 10**50])
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (ThreadCreate, lambda number: {"metadata": {"a": [1, number]}}),
        (ThreadPatch, lambda number: {"metadata": {"a": [1, number]}}),
        (ThreadSearch, lambda number: {"metadata": {"a": [1, number]}}),
        (InputMessage, lambda number: {"role": "user", "content": [{"type": "text", "a": [1, number]}]}),
        (RunCreate, lambda number: {"assistant_id": "a", "config": {"configurable": {"a": [1, number]}}}),
        (RunCreate, lambda number: {"assistant_id": "a", "command": {"resume": {"a": [1, number]}}}),
        (RunCreate, lambda number: {"assistant_id": "a", "metadata": {"a": [1, number]}}),
    ],
)
def test_a_client_is_told_which_number_is_too_long_and_what_to_do(
    body: type[BaseModel], fields: Any, number: float
) -> None:
    with pytest.raises(ValidationError, match=r"40 characters.*\(at .*a\.1\): send it as text"):
        body.model_validate(fields(number))


@pytest.mark.parametrize("text", ["[1e308]", '{"a": 5e-324}', "1" * 41])
def test_a_model_that_calls_with_a_long_number_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match="longer than 40 digits"):
        strict_json.parse(text)


async def test_a_tools_output_is_made_storable() -> None:
    assert await usable({"a": [1e308, 5e-324, 10**50, 1.5]}) == {"a": ["1e+308", "5e-324", str(10**50), 1.5]}
    deep: list[Any] = []
    for _ in range(150):
        deep = [deep]
    with pytest.raises(UnusableOutputError, match="deep"):
        await usable(deep)


def test_every_statements_json_is_made_storable() -> None:
    """Of all that writes jsonb nothing writes JSON by itself."""
    found: dict[str, int] = {}
    for path in STATEMENTS:
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = [func.attr for func in calls if isinstance(func, ast.Attribute)]
        if count := names.count("dumps") + names.count("model_dump_json"):
            found[str(path.relative_to(ROOT))] = count
    assert found == TEXTS
    # Statements stand there only.
    elsewhere = [
        path for top in ("functions", "shared") for path in (ROOT / top).rglob("*.py") if path not in STATEMENTS
    ]
    assert not [path for path in elsewhere if "::jsonb" in path.read_text()]
