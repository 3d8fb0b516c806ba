"""A database as large as is asked for, all of one shape: what statements are measured on.

Of ``messages`` messages every table has its share. One account has a tenth of all threads. Of its threads one is deep
(a five-hundredth of all messages), and some have 100 runs, however large the rest is.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from shared.database.pool import DirectConnection

HOT = "the-busy-account"
RUNS_TO_DELETE = 100
THREADS_TO_DELETE = 3
_OF_A_RUN = ("user", "assistant", "tool", "assistant", "assistant")
_USAGE = '{"usage": {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10}, "price_usd": 0.001}'
_CONTENT = '{"role": "user", "content": "' + "what was said " * 8 + '"}'
_OLD = 50
# More than a page, so that all pages are full.
_LEAST_DEEP = 30


@dataclass
class Ids:
    """What statements are asked for: see ``bench.scale_statements``."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    to_delete: list[UUID] = field(default_factory=list[UUID])


@dataclass
class _Rows:
    """What is written, table by table."""

    chance: random.Random
    now: datetime
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict[str, list[tuple[Any, ...]]])

    def new_id(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128))

    def add(self, table: str, *row: Any) -> None:
        self.rows.setdefault(table, []).append(row)

    def ago(self, at_most: timedelta) -> datetime:
        return self.now - self.chance.random() * at_most


_COLUMNS = {
    "accounts": "account_id",
    "threads": "thread_id account_id last_run_number last_run_status epoch last_seq reserved_seq created_at generation"
    " metadata",
    "agent_runs": "agent_run_id thread_id account_id number status attempt executor assistant_id created_at ended_at"
    " settled_at lease_expires_at started_at instance_id begins_after stored_bytes",
    "messages": "message_id thread_id account_id run_number position agent_run_id thread_run_id type content metadata"
    " stored_bytes covers_run_number covers_position",
    "thread_events": "thread_id agent_run_id channel data timestamp_ms seq logged_at created_at",
    "tool_executions": "agent_run_id call_id thread_id account_id assistant_message_id call_index name arguments form"
    " status result answered",
    "message_tokens": "message_id encoding version full_tokens compressed_tokens",
    "unkept_answers": "answer_id thread_id account_id run_number metadata",
    "webhook_deliveries": "agent_run_id account_id url status",
    "files": "file_id thread_id account_id name content_type size object_key stored_at",
    "file_removals": "object_key due_at last_at size",
    "idempotency_keys": "account_id route key body_hash status answer created_at",
    "api_keys": "key_id account_id sha256 name scopes revoked_at",
    "account_usage": "account_id day stripe tokens cost_usd",
    "account_bytes": "account_id stripe bytes",
    "assistants": "assistant_id account_id",
    "assistant_versions": "assistant_id version name config",
    "waits": "account_id kind place wait_id expires_at",
    "drained_instances": "instance_id until",
    "deleted_logs": "generation thread_id account_id deleted_at",
    "deleted_events": "agent_run_id thread_id first_seq last_seq deleted_at",
    "deleted_accounts": "hash plan_id day tokens cost_usd",
    "sender_calls": "account_id thread_id",
    "reader_calls": "account_id thread_id called_at",
    "summary_requests": "agent_run_id overflow",
}


async def load(connection: DirectConnection, *, messages: int) -> Ids:
    """Write the data by COPY into a migrated database, and have its statistics made."""
    made = Ids()
    # Written as it would have come to be: what triggers keep is in the rows.
    await connection.execute("SET session_replication_role = replica")
    for rows in _batches(made, messages=messages):
        for table, found in rows.items():
            await connection.copy_records_to_table(table, records=found, columns=_COLUMNS[table].split())
    await connection.execute("SET session_replication_role = DEFAULT")
    await connection.execute("INSERT INTO catalogue VALUES ('models', '[]'), ('tools', '[]') ON CONFLICT DO NOTHING")
    await connection.execute("VACUUM ANALYZE")
    return made


def _batches(made: Ids, *, messages: int) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    rows = _Rows(random.Random(7), datetime.now(UTC))
    threads = messages // (2 * len(_OF_A_RUN))
    others = max(threads // 10, 1)
    for number in range(-1, others):
        _account(rows, made, HOT if number < 0 else f"account-{number}", is_hot=number < 0)
    rows.add("accounts", "nobody")
    _of_nobody(rows, others)
    yield rows.rows
    for number in range(threads):
        if number % 2000 == 0:
            rows.rows = {}
        is_hot = number % 10 == 0
        _thread(rows, made, HOT if is_hot else f"account-{number % others}", runs=2)
        if number % 2000 == 1999:
            yield rows.rows
    if threads % 2000:
        yield rows.rows
    rows.rows = {}
    _thread(rows, made, HOT, runs=max(messages // 500 // len(_OF_A_RUN), _LEAST_DEEP), name="deep")
    _thread(rows, made, HOT, runs=3, name="waiting")
    for _ in range(THREADS_TO_DELETE):
        made.to_delete.append(_thread(rows, made, HOT, runs=RUNS_TO_DELETE))
    made.values |= {
        "account": HOT,
        "new": rows.new_id(),
        "hash": b"x" * 32,
        "now": rows.now,
        "json": '{"a": 1}',
        "encoding": "cl100k",
        "version": "1",
        "object": "accounts/a/threads/b/files/c",
        "statuses": ["completed", "running", "queued"],
    }
    yield rows.rows


def _account(rows: _Rows, made: Ids, account_id: str, *, is_hot: bool) -> None:
    today = date.today()  # noqa: DTZ011 - of no consequence: a day is a day
    rows.add("accounts", account_id)
    for back in range(3):
        rows.add("account_usage", account_id, today - timedelta(days=back), 0, 100, 1)
    rows.add("account_bytes", account_id, 0, 1000)
    assistant_id = rows.new_id()
    rows.add("assistants", assistant_id, account_id)
    for version in (1, 2):
        rows.add("assistant_versions", assistant_id, version, "mine", "{}")
    for place in range(2):
        secret = sha256(f"{account_id}{place}".encode()).digest()
        key_id = rows.new_id()
        named = {"assistant": assistant_id, "key": key_id, "secret": secret}
        made.values |= named if is_hot else {}
        rows.add("api_keys", key_id, account_id, secret, "key", ["read"], rows.now if place else None)
    rows.add("waits", account_id, "run", 1, rows.new_id(), rows.now + timedelta(hours=1))
    for _ in range(50):
        key = rows.chance.randbytes(8).hex()
        made_at = rows.ago(timedelta(hours=20))
        made.values |= {"once": key} if is_hot else {}
        rows.add("idempotency_keys", account_id, "POST /threads", key, b"h", 200, "{}", made_at)


def _of_nobody(rows: _Rows, others: int) -> None:
    """What is of no thread or account any more; of what is too old as much, however large the rest."""
    later, before = rows.now + timedelta(hours=1), rows.now - timedelta(days=500)
    for _ in range(others):
        rows.add("file_removals", f"accounts/{rows.new_id()}/threads/b/files/c", later, later, 100)
        rows.add("deleted_logs", rows.new_id(), rows.new_id(), "somebody", rows.now)
        rows.add("deleted_accounts", rows.chance.randbytes(32), None, rows.now.date() + timedelta(days=1), 1, 1)
    for _ in range(_OLD):
        rows.add("file_removals", f"accounts/{rows.new_id()}/threads/b/files/c", before, before, None)
        rows.add("deleted_logs", rows.new_id(), rows.new_id(), "somebody", before)
        rows.add("deleted_accounts", rows.chance.randbytes(32), None, before.date(), 1, 1)
        rows.add("drained_instances", rows.new_id(), before)
        rows.add("drained_instances", rows.new_id(), later)
        rows.add("idempotency_keys", "somebody", "POST /", rows.chance.randbytes(8).hex(), b"h", 200, "{}", before)


def _thread(rows: _Rows, made: Ids, account_id: str, *, runs: int, name: str | None = None) -> UUID:
    """A thread whose runs have ended, but for the last one of a thread with a name."""
    thread_id, generation = rows.new_id(), rows.new_id()
    last = {"deep": "running", "waiting": "queued", None: "completed"}[name]
    created_at = rows.ago(timedelta(days=30))
    where = '{"graph_id": "agent"}'
    seqs = 2 * runs + 10
    rows.add("threads", thread_id, account_id, runs, last, runs, seqs, seqs, created_at, generation, where)
    if rows.chance.random() < 0.1 or name:
        file_id, key = rows.new_id(), f"accounts/a/threads/{thread_id}/files/{rows.new_id()}"
        rows.add("files", file_id, thread_id, account_id, "a.txt", "text/plain", 5, key, rows.now)
        made.values["file"] = file_id
    if rows.chance.random() < 0.01 or name:
        rows.add("sender_calls", account_id, thread_id)
    if rows.chance.random() < 0.05 or name:
        rows.add("reader_calls", account_id, thread_id, rows.ago(timedelta(hours=1)))
    for number in range(1, runs + 1):
        status = "completed" if number < runs else last
        is_old = runs == RUNS_TO_DELETE and number <= _OLD // 2
        found = _run(rows, thread_id, account_id, number=number, status=status, is_old=is_old, is_any=name is None)
        if name and (number == max(runs // 2, 1) or number == runs):
            which = f"{name}_{'last' if number == runs else 'done'}"
            made.values |= {f"{which}_{key}": value for key, value in found.items()}
    if name:
        made.values |= {name: thread_id, f"{name}_generation": generation, f"{name}_epoch": runs}
    if name == "deep":
        summary = rows.new_id()
        place = (max(runs // 2, 1), 4)
        rows.add(
            "messages", summary, thread_id, account_id, place[0], 5, None, None, "summary", _CONTENT, "{}", 200, *place
        )
        made.values |= {"summary": summary, "after": place[0], "runs": runs}
    return thread_id


def _run(
    rows: _Rows, thread_id: UUID, account_id: str, *, number: int, status: str, is_old: bool, is_any: bool
) -> dict[str, Any]:
    """A run with all that belongs to it, and some of what may; its ids. ``is_any``: of no thread with a name."""
    run_id, instance = rows.new_id(), rows.new_id()
    now, later = rows.now, rows.now + timedelta(hours=1)
    ended = now if status == "completed" else None
    is_running = status == "running"
    rows.add(
        *("agent_runs", run_id, thread_id, account_id, number, status, int(status != "queued"), "queue", "agent"),
        *(rows.ago(timedelta(days=30)), ended, ended, later if is_running else None, None),
        *(instance if is_running else None, 2 * number, 20),
    )
    messages: list[UUID] = []
    for position, kind in enumerate(_OF_A_RUN if status != "queued" else _OF_A_RUN[:1]):
        message_id = rows.new_id()
        messages.append(message_id)
        metadata = _USAGE if kind == "assistant" else "{}"
        if kind == "tool":
            metadata = f'{{"assistant_message_id": "{messages[1]}"}}'
        turn = rows.new_id() if kind != "user" else None
        rows.add(
            *("messages", message_id, thread_id, account_id, number, position, run_id, turn, kind, _CONTENT, metadata),
            *(200, None, None),
        )
    rows.add("message_tokens", messages[0], "cl100k", "1", 30, 20)
    for place, channel in enumerate(("custom", "lifecycle") if ended else ("custom",)):
        at = now - timedelta(hours=30) if is_old else rows.ago(timedelta(hours=20))
        rows.add("thread_events", thread_id, run_id, channel, "{}", 1, 2 * number + place, at, at)
    if len(messages) > 1:
        result = ("finished", '{"success": true}', True) if ended else ("started", None, False)
        rows.add(
            *("tool_executions", run_id, "call-1", thread_id, account_id, messages[1], 0, "http_fetch", "{}", "native"),
            *result,
        )
    if (is_any and rows.chance.random() < 0.1) or not ended:
        rows.add("webhook_deliveries", run_id, account_id, "https://example.com/", "pending")
        rows.add("unkept_answers", rows.new_id(), thread_id, account_id, number, _USAGE)
        rows.add("summary_requests", run_id, False)
        rows.add("deleted_events", rows.new_id(), thread_id, 1, 2, rows.now)
    return {
        "run": run_id,
        "number": number,
        "instance": instance,
        "message": messages[0],
        "answer": messages[-1],
        "call": messages[min(1, len(messages) - 1)],
    }
