"""The XML form of calls in the system prompt."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from functions.runner.tools import Tool, ToolRegistry, tool_function


class Filter(BaseModel):
    field: str
    minimum: int


class Searching(Tool):
    @tool_function()
    async def search(
        self,
        *,
        text: Annotated[str, Field(examples=["a < b & c"])],
        order: Literal["newest", "oldest"],
        count: int,
        filters: list[Filter],
        exact: bool = False,
        page: Annotated[int, Field(examples=[2])] = 1,
    ) -> None:
        """Search for text.

        Args:
            text: what to look for
            filters: all must fit
        """

    @tool_function()
    async def forget(self) -> None:
        """Forget the search."""


def test_the_example_shows_required_parameters_verbatim() -> None:
    search, forget = Searching().functions()
    assert search.xml_example() == (
        "<function_calls>\n"
        '<invoke name="search">\n'
        '<parameter name="text">a < b & c</parameter>\n'
        '<parameter name="order">newest</parameter>\n'
        '<parameter name="count">1</parameter>\n'
        '<parameter name="filters">[{"field": "text", "minimum": 1}]</parameter>\n'
        '<parameter name="page">2</parameter>\n'
        "</invoke>\n"
        "</function_calls>"
    )
    assert forget.xml_example() == '<function_calls>\n<invoke name="forget">\n</invoke>\n</function_calls>'


def test_the_instructions_name_every_function_and_parameter() -> None:
    text = ToolRegistry([Searching()]).xml_instructions()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["search", "forget"]
    assert "- text (string, required): what to look for" in text
    assert '- order (one of "newest", "oldest", required)' in text
    assert "- exact (boolean, optional)" in text
    assert re.search(r'- filters \(JSON of the schema \{.*"minimum".*\}, required\): all must fit', text)
    for function in Searching().functions():
        assert function.xml_example() in text
        assert function.description in text


def test_without_functions_there_are_no_instructions() -> None:
    assert ToolRegistry().xml_instructions() == ""
