"""Names of tools that a server offers: a stranger chooses them."""

from mcp.types import Tool

from functions.runner.tools.builtin.mcp_session import _listed  # pyright: ignore[reportPrivateUsage]


def test_a_tool_whose_name_is_long_is_left_out_and_little_of_it_is_kept() -> None:
    found = _listed(Tool(name="a" * 4_000_000, input_schema={"type": "object"}))
    assert found.problem == "its name has more than 128 characters"
    assert found.name == "a" * 128


def test_a_tool_whose_name_is_as_long_as_it_may_be_is_offered() -> None:
    found = _listed(Tool(name="a" * 128, input_schema={"type": "object"}))
    assert (found.problem, len(found.name)) == (None, 128)
