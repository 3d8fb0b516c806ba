"""Schemas and checks made of type hints and docstrings."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from pydantic import BaseModel, BeforeValidator, Field

from functions.runner.tools import ToolContext
from functions.runner.tools.errors import InvalidArgumentsError, ToolDefinitionError
from functions.runner.tools.signature import Signature, of


class Unit(StrEnum):
    METRE = "m"
    FOOT = "ft"


class Place(BaseModel):
    title: str = Field(description="what it is called")
    floor: int = 0


class Folder(BaseModel):
    name: str
    folders: list[Folder] = []


class Methods:
    """Methods as users write them."""

    async def everything(
        self,
        *,
        text: str,
        count: int,
        share: Annotated[float, Field(ge=0, le=1, description="between 0 and 1")],
        sure: bool,
        words: list[str],
        table: dict[str, int],
        mode: Literal["fast", "slow"],
        place: Place,
        context: ToolContext,
        places: list[Place] | None = None,
        limit: Optional[int] = 5,  # noqa: UP045 - the older spelling works too
    ) -> None:
        """Do everything.

        At once.

        Args:
            text: the text,
                which may go on.
            count (int): how many: at least one
            place: where
        """

    async def nothing(self) -> None:
        """Take nothing."""

    async def named_as_models_are(self, json: str, model_config: int, _private: bool = False, schema: str = "") -> None:
        """Take names that pydantic's models use."""

    async def of_other_types(self, day: date, id: UUID, unit: Unit, pair: tuple[int, str]) -> None:
        """Take what JSON has no type for."""

    async def recursive(self, folder: Folder) -> None:
        """Take a tree."""

    async def lax(self, count: Annotated[int, BeforeValidator(int)]) -> None:
        """Take numbers in any form."""

    async def numpy(self, first: int, second: str = "") -> None:
        """Do it in NumPy's layout.

        Parameters
        ----------
        first : int
            the first
        second : str, optional
            the second
            of two

        Returns
        -------
        nothing
        """

    async def sphinx(self, first: int, second: str = "") -> None:
        """Do it in Sphinx's layout.

        :param first: the first
        :param str second: the second
            of two
        :returns: nothing
        """

    async def plain(self, first: int, second: str = "") -> None:
        """Do it plainly. Note: this is no parameter.

        first: the first
        second: the second
          of two
        """

    async def google_then_text(self, first: int, second: str = "") -> None:
        """Do it.

        Args:
            first: the first
            second: the second of two

        Raises:
            ValueError: never.
        """


def signature(name: str) -> Signature:
    return of(getattr(Methods, name), where=name)


EVERYTHING: dict[str, Any] = {
    "text": "123",
    "count": 3,
    "share": 0.5,
    "sure": True,
    "words": ["a"],
    "table": {"a": 1},
    "mode": "fast",
    "place": {"title": "x"},
}


def test_the_schema_says_what_the_hints_say() -> None:
    found = signature("everything")
    place = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "what it is called"},
            "floor": {"type": "integer", "default": 0},
        },
        "required": ["title"],
        "additionalProperties": False,
    }
    assert found.description == "Do everything.\n\nAt once."
    assert found.context_parameter == "context"
    assert found.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["text", "count", "share", "sure", "words", "table", "mode", "place"],
        "properties": {
            "text": {"type": "string", "description": "the text, which may go on."},
            "count": {"type": "integer", "description": "how many: at least one"},
            "share": {"type": "number", "minimum": 0, "maximum": 1, "description": "between 0 and 1"},
            "sure": {"type": "boolean"},
            "words": {"type": "array", "items": {"type": "string"}},
            "table": {"type": "object", "additionalProperties": {"type": "integer"}},
            "mode": {"type": "string", "enum": ["fast", "slow"]},
            "place": {**place, "description": "where"},
            "places": {"anyOf": [{"type": "array", "items": place}, {"type": "null"}], "default": None},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 5},
        },
    }


def test_checked_arguments_have_the_types_of_the_hints() -> None:
    values = signature("everything").check(EVERYTHING)
    assert values["text"] == "123"
    assert values["place"] == Place(title="x")
    assert (values["places"], values["limit"]) == (None, 5)
    assert "context" not in values


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"count": "3"}, "'count': Input should be a valid integer, not \"3\""),
        ({"count": True}, "'count': Input should be a valid integer, not true"),
        ({"count": 3.5}, "'count'"),
        ({"text": 123}, "'text': Input should be a valid string, not 123"),
        ({"sure": "yes"}, "'sure'"),
        ({"share": 2}, "'share': Input should be less than or equal to 1, not 2"),
        ({"share": float("nan")}, "'share'"),
        ({"mode": "medium"}, "'mode': Input should be 'fast' or 'slow'"),
        ({"words": "a"}, "'words'"),
        ({"table": {"a": "b"}}, "'table.a'"),
        ({"place": {}}, "'place.title' is required"),
        ({"place": None}, "'place'"),
        ({"colour": "red"}, "'colour' is not a parameter (parameters: text, count, share, sure, words"),
        ({"context": {}}, "'context' is not a parameter"),
        ({"p0": "x"}, "'p0' is not a parameter"),
        ({"text": "\ud800"}, "Invalid JSON"),
    ],
)
def test_a_wrong_argument_is_refused_and_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentsError) as raised:
        signature("everything").check(EVERYTHING | change)
    assert told in raised.value.message
    assert "nothing was done" in raised.value.message


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(InvalidArgumentsError, match="'count' is required"):
        signature("everything").check({key: value for key, value in EVERYTHING.items() if key != "count"})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidArgumentsError):
        signature("nothing").check(["a"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgumentsError, match="not a JSON object"):
        signature("everything").check({"text": object()})


def test_many_problems_are_told_shortly() -> None:
    with pytest.raises(InvalidArgumentsError) as raised:
        signature("nothing").check({f"x{number}": "y" * 10_000 for number in range(50)})
    assert "and 40 more" in raised.value.message
    assert len(raised.value.message) < 2_000


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert signature("everything").check(EVERYTHING | {"count": 3.0, "table": {"a": 2.0}})["count"] == 3


def test_a_parameter_can_be_lax() -> None:
    assert signature("lax").check({"count": "3"}) == {"count": 3}


def test_a_function_without_parameters_has_an_empty_object() -> None:
    assert signature("nothing").parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert signature("nothing").check({}) == {}


def test_parameters_may_be_named_as_attributes_of_models_are() -> None:
    values = signature("named_as_models_are").check({"json": "a", "model_config": 1, "_private": True})
    assert values == {"json": "a", "model_config": 1, "_private": True, "schema": ""}
    assert list(signature("named_as_models_are").parameters["properties"]) == list(values)


def test_types_that_json_does_not_have_are_read_from_their_usual_form() -> None:
    identifier = UUID(int=1)
    values = signature("of_other_types").check(
        {"day": "2026-01-31", "id": str(identifier), "unit": "ft", "pair": [1, "a"]}
    )
    assert values == {"day": date(2026, 1, 31), "id": identifier, "unit": Unit.FOOT, "pair": (1, "a")}
    assert signature("of_other_types").parameters["properties"]["unit"] == {"type": "string", "enum": ["m", "ft"]}


def test_only_a_type_that_contains_itself_keeps_its_definition() -> None:
    parameters = signature("recursive").parameters
    folders = {"type": "array", "items": {"$ref": "#/$defs/Folder"}, "default": []}
    folder = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "folders": folders},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert parameters["properties"]["folder"] == folder
    assert parameters["$defs"] == {"Folder": folder}


@pytest.mark.parametrize("layout", ["numpy", "sphinx", "plain", "google_then_text"])
def test_every_layout_of_docstrings_is_understood(layout: str) -> None:
    found = signature(layout)
    assert found.description.startswith("Do it")
    assert "\n" not in found.description
    described = {name: schema["description"] for name, schema in found.parameters["properties"].items()}
    assert described == {"first": "the first", "second": "the second of two"}


async def no_hint(self: object, a, b: int) -> None:  # pyright: ignore[reportMissingParameterType]
    """Lack a hint."""


async def no_docstring(self: object, a: int) -> None: ...


async def wrong_docstring(self: object, a: int) -> None:
    """Describe too much.

    Args:
        b: which is not there
    """


async def unresolvable(self: object, a: Missing) -> None:  # pyright: ignore[reportUndefinedVariable]  # noqa: F821
    """Name a type that is not there."""


async def no_schema(self: object, a: Methods) -> None:
    """Take what JSON cannot hold."""


async def many(self: object, *words: str) -> None:
    """Take any number."""


async def any_names(self: object, **words: str) -> None:
    """Take any name."""


async def by_position(self: object, a: int, /) -> None:
    """Take a value without a name."""


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (no_hint, "parameter 'a' has no type hint"),
        (no_docstring, "has no docstring"),
        (wrong_docstring, "describes 'b', which is not a parameter"),
        (unresolvable, "'Missing' is not defined"),
        (no_schema, "no schema can be made"),
        (many, "no place in a JSON object"),
        (any_names, "no place in a JSON object"),
        (by_position, "no place in a JSON object"),
    ],
)
def test_a_method_that_a_model_could_not_call_is_refused(method: Any, why: str) -> None:
    with pytest.raises(ToolDefinitionError, match=why) as raised:
        of(method, where=method.__name__)
    assert method.__name__ in raised.value.message
