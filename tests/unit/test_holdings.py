"""Every table that grows with what accounts ask for is bounded: one that is added has to be named here."""

import re

from tests.unit.test_queries import FOLDER

# Table -> what bounds it for an account. Most are bounds of the account's plan.
BOUNDS = {
    "accounts": "one row",
    "agent_runs": "the rate; max_unfinished_runs",
    "api_keys": "max_api_keys",
    "assistant_versions": "max_assistant_versions",
    "assistants": "max_assistants",
    "catalogue": "the runner's",
    "drained_instances": "operators'",
    "message_tokens": "the messages",
    "summary_requests": "the messages",
    "deleted_events": "the runs, and emptied",
    "deleted_logs": "max_threads, and emptied",
    "file_removals": "max_files, max_stored_bytes",
    "files": "max_thread_files, max_files, max_stored_bytes",
    "idempotency_keys": "the rate, and a day",
    "messages": "max_thread_messages; the runs' budgets",
    "reader_calls": "the rate, and two hours",
    "sender_calls": "max_threads",
    "thread_events": "the runs",
    "threads": "max_threads",
    "tool_executions": "max_answer_tool_calls an answer",
    "unkept_answers": "the runs' budgets",
    "waits": "max_waits, max_senders, max_webhooks",
    "webhook_deliveries": "one a run",
}


def test_every_table_that_is_written_to_has_a_bound() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FOLDER.glob("*.sql")]
    written = {table for text in texts for table in re.findall(r"INSERT INTO (\w+)", text)}
    assert written - BOUNDS.keys() == set(), "say what bounds it"
    assert written, "the search finds something"
