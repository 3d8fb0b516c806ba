"""What the schema says and what the check accepts are the same, for any signature and any arguments."""

import inspect
import json
from keyword import iskeyword
from typing import Any, Literal, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, create_model

from functions.runner.tools import xml_form
from functions.runner.tools.errors import InvalidArgumentsError
from functions.runner.tools.signature import Signature, of

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name != "self" and not iskeyword(name)
)
NUMBERS = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False, width=32)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)

type Hint = tuple[Any, st.SearchStrategy[Any]]


def hint(kind: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Hint]:
    return st.just((kind, values))


LEAVES = st.one_of(
    hint(str, st.text(st.characters(codec="utf-8"), max_size=5)),
    hint(int, st.integers(-(2**40), 2**40)),
    hint(float, NUMBERS),
    hint(bool, st.booleans()),
    hint(Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    hint(Any, JSON),
)


def optional(inner: Hint) -> Hint:
    return inner[0] | None if inner[0] is not Any else Any, inner[1] | st.none()


@st.composite
def models(draw: st.DrawFn, inner: st.SearchStrategy[Hint]) -> Hint:
    fields = draw(st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3))
    model: type[BaseModel] = create_model(
        "Model",
        __config__=ConfigDict(extra="forbid", allow_inf_nan=False),
        **cast("dict[str, Any]", {name: (kind, ...) for name, (kind, _) in fields.items()}),
    )
    return model, st.fixed_dictionaries({name: values for name, (_, values) in fields.items()})


HINTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda each: (list[each[0]], st.lists(each[1], max_size=3))),
        inner.map(lambda each: (dict[str, each[0]], st.dictionaries(NAMES, each[1], max_size=3))),
        inner.map(optional),
        models(inner),
    ),
    max_leaves=4,
)
PARAMETERS = st.dictionaries(NAMES, HINTS, max_size=4)


def signature(hints: dict[str, Hint]) -> Signature:
    async def method(self: object, **arguments: Any) -> None:
        """Do it."""

    kind = inspect.Parameter.KEYWORD_ONLY
    method.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY),
            *(inspect.Parameter(name, kind, annotation=each[0]) for name, each in hints.items()),
        ]
    )
    method.__annotations__ = {name: each[0] for name, each in hints.items()}
    return of(method, where="method")


def accepts(found: Signature, arguments: dict[str, Any]) -> bool:
    try:
        found.check(arguments)
    except InvalidArgumentsError:
        return False
    return True


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), PARAMETERS)
def test_valid_arguments_are_accepted(data: st.DataObject, hints: dict[str, Hint]) -> None:
    found = signature(hints)
    Draft202012Validator.check_schema(found.parameters)
    assert "$defs" not in found.parameters, "every reference of a type that does not contain itself is put in place"
    assert '"title":' not in json.dumps(found.parameters).replace('"title": {', "")
    arguments = data.draw(st.fixed_dictionaries({name: values for name, (_, values) in hints.items()}))
    found.check(arguments)
    assert Draft202012Validator(found.parameters).is_valid(arguments)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), PARAMETERS)
def test_the_check_accepts_exactly_what_the_schema_accepts(data: st.DataObject, hints: dict[str, Hint]) -> None:
    found = signature(hints)
    arguments = {
        **data.draw(st.fixed_dictionaries({name: values | JSON for name, (_, values) in hints.items()})),
        **data.draw(st.dictionaries(NAMES, JSON, max_size=1)),
    }
    arguments.pop(data.draw(st.sampled_from(["", *hints])), None)
    assert accepts(found, arguments) == Draft202012Validator(found.parameters).is_valid(arguments)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(PARAMETERS)
def test_the_example_of_a_schema_is_valid(hints: dict[str, Hint]) -> None:
    found = signature(hints)
    found.check({name: xml_form.example_value(schema) for name, schema in found.parameters["properties"].items()})
