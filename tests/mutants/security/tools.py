"""What others send to tools, and what a message has fetched: it costs its own run only."""

from tests.mutants import Mutant

_HTML = "tests/unit/tools/test_html.py::test_no_more_of_a_page_is_read_than_is_kept"
_BODY = "tests/unit/tools/test_body.py::"
_FETCH = "tests/integration/tools/test_fetch_threads.py::"
_IMAGES = "tests/integration/tools/test_remote_images.py::"
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
        _MCP + "test_while_an_answer_is_read_others_have_their_turns",
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
        """text[text.rfind(b"\\n") + 1 :].count(""",
        "text.count(",
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
    Mutant(
        "fetched pages are read on the threads of the loop",
        "functions/runner/tools/builtin/http_fetch.py",
        "await _readers.run(partial(_text, data, content_type, url, self._max_characters))",
        "await asyncio.to_thread(_text, data, content_type, url, self._max_characters)",
        _FETCH + "test_an_account_s_pages_take_no_thread_but_its_own",
    ),
    Mutant(
        "one account's pages have all that read pages",
        "functions/runner/tools/builtin/http_fetch.py",
        "of_account=PAGES_OF_ACCOUNT",
        "of_account=_READERS",
        _FETCH + "test_an_account_s_pages_take_no_thread_but_its_own",
    ),
    Mutant(
        "of a page all is read, whatever is kept",
        "functions/runner/tools/network/html.py",
        "        return self._length > self._most\n",
        "        return self._length > 1_000_000_000\n",
        _HTML,
    ),
    Mutant(
        "a page has as many tags as fit into it",
        "functions/runner/tools/network/html.py",
        "    for _ in range(MOST_TAGS):\n",
        "    for _ in range(1_000_000_000):\n",
        _HTML,
    ),
    Mutant(
        "of a long text all is decoded",
        "functions/runner/tools/builtin/http_fetch.py",
        "data[: 4 * max_characters + 4]",
        "data[:]",
        _FETCH + "test_of_a_long_text_no_more_is_decoded_than_is_kept",
    ),
    Mutant(
        "gzip data has as many members as fit into it",
        "functions/runner/tools/network/body.py",
        "if members > MOST_MEMBERS:",
        "if not members:",
        _BODY + "test_members_that_hold_nothing_are_counted",
    ),
    Mutant(
        "gzip data that holds nothing is read for ever",
        "functions/runner/tools/network/body.py",
        "        if packed > max_packed:",
        "        if packed > 1000 * max_packed:",
        _BODY + "test_packed_data_that_unpacks_to_nothing_is_not_read_for_ever",
    ),
    Mutant(
        "nobody has a turn while a body is unpacked",
        "functions/runner/tools/network/body.py",
        "                await asyncio.sleep(0)\n",
        "",
        _BODY + "test_while_a_body_is_unpacked_others_have_their_turns",
    ),
    Mutant(
        "what is read of an address costs nothing when it is not shown",
        "functions/runner/remote_images.py",
        "        allowance.bytes -= len(part)\n",
        "",
        _IMAGES + "test_what_is_fetched_for_one_answer_is_bounded_also_when_it_is_not_shown",
    ),
    Mutant(
        "a message names as many addresses as it likes",
        "functions/runner/remote_images.py",
        "    self.addresses -= 1\n",
        "    pass\n",
        _IMAGES + "test_what_is_fetched_for_one_answer_is_bounded_also_when_it_is_not_shown",
    ),
    Mutant(
        "a message's addresses have as much time as they take",
        "functions/runner/remote_images.py",
        " or self.left_s() <= 0:",
        ":",
        _IMAGES + "test_time_is_up_for_all_addresses_together",
    ),
    Mutant(
        "what is no image is read to its end",
        "functions/runner/remote_images.py",
        "        if len(content) >= _LONGEST_BEGINNING and not",
        "        if not content and not",
        _IMAGES + "test_no_more_is_read_of_what_is_no_image",
    ),
)
