"""What others send to tools, and what a message has fetched: it costs its own run only."""

from tests.mutants import Mutant

_MCP = "tests/integration/tools/test_mcp_values.py::"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "an MCP server's answer has as many values as fit into it",
        "functions/runner/tools/builtin/mcp_session.py",
        "            max_values=MAX_VALUES,\n",
        "",
        _MCP + "test_an_answer_of_very_many_values_is_not_parsed",
    ),
    Mutant(
        "nobody has a turn while an MCP server's answer is read",
        "functions/runner/tools/network/guarded.py",
        "                await asyncio.sleep(0)\n",
        "",
        _MCP + "test_an_answer_of_very_many_values_is_not_parsed",
    ),
    Mutant(
        "an MCP server's answer is in whatever encoding it says",
        "functions/runner/tools/network/guarded.py",
        '            response.encoding = "utf-8"\n',
        "",
        _MCP + "test_an_answer_of_as_many_values_as_there_may_be_is_read",
    ),
    Mutant(
        "a comment in a stream of events hides the values after it",
        "shared/values.py",
        """rb'"[^"\\n]*+"?'""",
        """rb'"[^"]*+"?'""",
        "tests/unit/test_values.py::test_of_a_stream_of_events_the_values_of_one_are_counted",
    ),
    Mutant(
        "an MCP server's answer has all its errors told",
        "functions/runner/tools/builtin/mcp_session.py",
        "    if not isinstance(error, ValidationError):\n        return str(error)[:_MAX_TEXT]",
        "    if error:\n        return str(error)",
        _MCP + "test_of_very_many_errors_few_are_told",
    ),
    Mutant(
        "what an MCP server says of a failure is as long as it likes",
        "functions/runner/tools/builtin/mcp_session.py",
        "return str(error)[:_MAX_TEXT]",
        "return str(error)",
        _MCP + "test_what_a_server_says_of_a_failure_is_cut",
    ),
)
