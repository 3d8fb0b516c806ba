"""What would be accepted and then stop runs, and who is asked before something is done."""

from tests.mutants import Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "an answer whose id is taken is tried until it is poison",
        "functions/runner/defects.py",
        "    ConflictError,\n)",
        ")",
        "tests/integration/loop/test_message_ids.py",
    ),
    Mutant(
        "an MCP tool asks nobody",
        "functions/runner/tools/builtin/mcp.py",
        "needs_approval=server.asks_for(tool.name),",
        "needs_approval=False,",
        "tests/integration/tools/test_mcp.py::test_tools_that_match_need_approval",
    ),
    Mutant(
        "an answer has another configuration than its run",
        "functions/api/runs.py",
        "if asked is not None and asked.assistant_id == body.assistant_id:",
        "if asked is None and asked is not None:",
        "tests/integration/test_resuming.py",
    ),
    Mutant(
        "two answers start two runs",
        "shared/runs/record.py",
        "if new.follows is not None and number != new.follows + 1:",
        "if False:",
        "tests/integration/test_resuming.py",
    ),
    Mutant(
        "a broken file stops every run",
        "functions/runner/tools/catalog.py",
        "        except (CatalogError, DuplicateToolError) as error:",
        "        except ZeroDivisionError as error:",
        "tests/unit/tools/test_catalog.py",
    ),
    Mutant(
        "a file that exits stops every run",
        "functions/runner/tools/catalog.py",
        "except (Exception, SystemExit) as error",
        "except Exception as error",
        "tests/unit/tools/test_catalog.py",
    ),
    Mutant(
        "a call's id is as long as the model likes",
        "functions/runner/calls/native.py",
        "if _ID.fullmatch(draft.call_id) else []",
        "if draft.call_id else []",
        "tests/unit/calls/test_native.py",
    ),
    Mutant(
        "a call's name is what the model likes",
        "functions/runner/calls/native.py",
        '_NOT_IN_NAMES.sub("\\ufffd", draft.name)[:_LONGEST_NAME]',
        "draft.name",
        "tests/unit/calls/test_native.py",
    ),
    Mutant(
        "what would come again is tried again",
        "functions/runner/defects.py",
        "    LookupError,",
        "",
        "tests/integration/loop/test_regressions.py::test_an_error_that_would_come_again_ends_the_run_at_once",
    ),
    Mutant(
        "a client's numbers are as long as PostgreSQL writes them",
        "functions/api/body.py",
        "elif isinstance(item, int | float) and not is_storable_number(item):",
        "elif False:",
        "tests/unit/test_storable.py::test_a_client_is_told_which_number_is_too_long_and_what_to_do",
    ),
    Mutant(
        "what goes into a statement grows in it",
        "shared/storable.py",
        "return json.dumps(storable(value))",
        "return json.dumps(value)",
        "tests/integration/test_jsonb.py",
    ),
    Mutant(
        "a statement's JSON is written without the one function for it",
        "shared/database/facts.py",
        "[jsonb(fact.data) for fact in facts],",
        "[__import__('json').dumps(fact.data) for fact in facts],",
        "tests/unit/test_storable.py::test_every_statements_json_is_made_storable",
    ),
    Mutant(
        "a page of messages is rendered whole",
        "shared/database/sql/messages.sql",
        "WHERE page.number < $3 AND page.bytes_to_here < $5",
        "WHERE page.number < $3",
        "tests/integration/test_jsonb.py::test_a_page_renders_no_more_than_is_answered",
    ),
    *(
        Mutant(
            f"a page of {name} is rendered whole",
            f"shared/database/sql/{name}.sql",
            guard,
            guard.partition(" AND page.bytes_to_here")[0],
            "tests/integration/test_pages.py::test_no_more_is_rendered_than_is_answered",
        )
        for name, guard in (
            ("threads", "WHERE page.number < cardinality($2::uuid[]) AND page.bytes_to_here < $3"),
            ("assistants", "WHERE page.number < cardinality($2::uuid[]) AND page.bytes_to_here < $4"),
            ("runs", "WHERE page.number < $4 AND page.bytes_to_here < $6"),
        )
    ),
    Mutant(
        "a search that ends early has nothing behind it",
        "shared/database/threads.py",
        "is_last=read == len(rows))",
        "is_last=len(rows) <= limit)",
        "tests/integration/test_pages.py::test_a_search_answers_what_has_room_and_says_where_the_rest_begins",
    ),
    Mutant(
        "what is refused unread is described where bodies are sent only",
        "functions/api/http/responses.py",
        "_EVERY = {400, 413, 422, 500}",
        "_EVERY = {422, 500}",
        "tests/unit/test_refused_unread.py::test_what_cannot_be_read_has_a_described_answer_on_every_route",
    ),
    Mutant(
        "bytes that are no text stop the function",
        "functions/api/http/main.py",
        "    if not _is_readable(event):",
        "    if False:",
        "tests/integration/test_http.py::test_bytes_that_are_no_text_are_the_clients_mistake",
    ),
    Mutant(
        "poison: all runs that were stopped are answered, whatever they hold",
        "functions/api/stops.py",
        "        if size <= LARGEST_PAGE_BYTES or not stopped:\n",
        "        if True:\n",
        "tests/integration/test_pages.py::test_all_are_stopped_and_answered_are_as_many_as_have_room",
    ),
)
