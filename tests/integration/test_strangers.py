"""The stores: what is not yours is not there."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import uuid4

import pytest

from shared.database import (
    api_keys,
    assistants,
    budgets,
    checkpoints,
    connection,
    files,
    messages,
    plans,
    runs,
    threads,
    tool_executions,
    webhooks,
)
from shared.database.pages import Page
from shared.errors import NotFoundError
from tests.integration.databases import Database
from tests.integration.owned import Owned


async def _unfinished(taken: Any, own: Owned, who: str) -> object:
    await taken.execute("UPDATE agent_runs SET status = 'queued' WHERE agent_run_id = $1", own.agent_run_id)
    return await runs.unfinished(
        taken,
        account_id=who,
        thread_id=own.thread_id,
        agent_run_ids=[own.agent_run_id],
        statuses=["queued", "running"],
        limit=10,
    )


async def _position(taken: Any, own: Owned, who: str) -> object:
    await taken.execute("UPDATE threads SET last_seq = 5, reserved_seq = 5 WHERE thread_id = $1", own.thread_id)
    position = await threads.stream_position(taken, thread_id=own.thread_id, account_id=who)
    return [] if position is None else [position]


async def _interrupts(taken: Any, own: Owned, who: str) -> list[object]:
    await taken.execute("UPDATE agent_runs SET status = 'needs_input' WHERE agent_run_id = $1", own.agent_run_id)
    return [*(await checkpoints.interrupts(taken, thread_ids=[own.thread_id], account_id=who)).values()]


async def _ended_webhook(taken: Any, own: Owned, who: str) -> list[object]:
    await webhooks.end(taken, agent_run_id=own.agent_run_id, account_id=who, attempts=0, outcome="delivered")
    status = "SELECT status FROM webhook_deliveries WHERE agent_run_id = $1 AND status = 'delivered'"
    return await taken.fetch(status, own.agent_run_id)


async def _noted(taken: Any, own: Owned, who: str) -> list[object]:
    await files.note_stored(taken, file_ids=[own.file_id], thread_id=own.thread_id, account_id=who)
    page = await files.page(taken, thread_id=own.thread_id, account_id=who, limit=9, offset=0)
    return [one for one in page if one.stored]


async def _unless_0(found: Awaitable[int]) -> int | None:
    return await found or None


async def _as_list(found: Awaitable[object]) -> list[object]:
    """Nothing as an empty list."""
    return [one for one in [await found] if one is not None]


async def _items(found: Awaitable[Page[Any]]) -> list[object]:
    return list((await found).items)


async def _charged(taken: Any, own: Owned, who: str) -> object:
    answer = {"answer_id": uuid4(), "thread_id": own.thread_id, "run_number": 1, "charge": {}}
    await budgets.charge_unkept(taken, account_id=who, **answer)
    return await taken.fetch("SELECT FROM unkept_answers WHERE answer_id = $1", answer["answer_id"])


# How each function of a store answers one who asks for another's thread. Those that insert are called under the
# thread's lock, which a stranger does not get.
STRANGERS: dict[tuple[Any, str], Callable[[Any, Owned, str], Awaitable[object]]] = {
    (threads, "get"): lambda taken, own, who: threads.get(taken, thread_id=own.thread_id, account_id=who),
    (threads, "owner"): lambda taken, own, who: _as_list(threads.owner(taken, thread_id=own.thread_id, account_id=who)),
    (threads, "lock"): lambda taken, own, who: threads.lock(taken, thread_id=own.thread_id, account_id=who),
    (threads, "stream_position"): _position,
    (threads, "log"): lambda taken, own, who: threads.log(taken, thread_id=own.thread_id, account_id=who),
    (threads, "lock_with_account"): lambda taken, own, who: threads.lock_with_account(
        taken, thread_id=own.thread_id, account_id=who
    ),
    (plans, "usage"): lambda taken, own, who: plans.usage(taken, account_id=who, thread_id=own.thread_id),
    (threads, "delete"): lambda taken, own, who: threads.delete(taken, thread_id=own.thread_id, account_id=who),
    (threads, "update"): lambda taken, own, who: threads.update(
        taken, thread_id=own.thread_id, account_id=who, metadata={"stolen": True}
    ),
    (threads, "search"): lambda taken, own, who: _items(
        threads.search(
            taken,
            account_id=who,
            metadata={},
            thread_ids=[own.thread_id],
            last_run_statuses=None,
            limit=10,
            offset=0,
        )
    ),
    (threads, "count"): lambda taken, own, who: _as_list(
        _unless_0(threads.count(taken, account_id=who, metadata={}, thread_ids=[own.thread_id], last_run_statuses=None))
    ),
    (checkpoints, "place"): lambda taken, own, who: checkpoints.place(
        taken, message_id=own.message_id, thread_id=own.thread_id, account_id=who
    ),
    (checkpoints, "until"): lambda taken, own, who: checkpoints.until(taken, thread_id=own.thread_id, account_id=who),
    (checkpoints, "last_input"): lambda taken, own, who: _as_list(
        checkpoints.last_input(taken, thread_id=own.thread_id, account_id=who, run_number=1)
    ),
    (checkpoints, "interrupts"): lambda taken, own, who: _interrupts(taken, own, who),  # noqa: PLW0108 - defined below
    (messages, "page"): lambda taken, own, who: messages.page(taken, thread_id=own.thread_id, account_id=who, limit=10),
    (messages, "content"): lambda taken, own, who: _as_list(
        messages.content(taken, message_id=own.message_id, thread_id=own.thread_id, account_id=who)
    ),
    (runs, "unfinished"): lambda taken, own, who: _unfinished(taken, own, who),  # noqa: PLW0108 - defined below
    (runs, "delete"): lambda taken, own, who: runs.delete(
        taken, agent_run_id=own.agent_run_id, account_id=who, thread_id=own.thread_id
    ),
    (runs, "newest"): lambda taken, own, who: _as_list(runs.newest(taken, thread_id=own.thread_id, account_id=who)),
    (runs, "get"): lambda taken, own, who: runs.get(taken, agent_run_id=own.agent_run_id, account_id=who),
    (runs, "page"): lambda taken, own, who: runs.page(
        taken, thread_id=own.thread_id, account_id=who, statuses=None, limit=10, offset=0
    ),
    (assistants, "get"): lambda taken, own, who: assistants.get(taken, assistant_id=own.assistant_id, account_id=who),
    (assistants, "search"): lambda taken, own, who: _items(
        assistants.search(taken, account_id=who, metadata={}, name=None, limit=10, offset=0)
    ),
    (assistants, "_page"): lambda taken, own, who: _items(
        assistants._page(
            taken, cast("Any", [{"assistant_id": own.assistant_id, "version": 1}]), account_id=who, limit=10, offset=0
        )
    ),
    (assistants, "count"): lambda taken, own, who: _as_list(
        _unless_0(assistants.count(taken, account_id=who, metadata={}, name=None))
    ),
    (assistants, "versions"): lambda taken, own, who: _items(
        assistants.versions(taken, assistant_id=own.assistant_id, account_id=who, metadata={}, limit=10, offset=0)
    ),
    (assistants, "add_version"): lambda taken, own, who: assistants.add_version(
        taken,
        assistant_id=own.assistant_id,
        account_id=who,
        name="stolen",
        description=None,
        change=lambda present: present,
        metadata={},
    ),
    (assistants, "set_version"): lambda taken, own, who: assistants.set_version(
        taken, assistant_id=own.assistant_id, account_id=who, version=1
    ),
    (assistants, "delete"): lambda taken, own, who: assistants.delete(
        taken, assistant_id=own.assistant_id, account_id=who
    ),
    (budgets, "of_day"): lambda taken, own, who: budgets.of_day(taken, account_id=who),
    (budgets, "of_run"): lambda taken, own, who: budgets.of_run(
        taken, account_id=who, thread_id=own.thread_id, run_number=1
    ),
    (budgets, "charge_unkept"): _charged,
    (files, "count"): lambda taken, own, who: _as_list(
        _unless_0(files.count(taken, thread_id=own.thread_id, account_id=who))
    ),
    (files, "page"): lambda taken, own, who: files.page(
        taken, thread_id=own.thread_id, account_id=who, limit=10, offset=0
    ),
    (files, "find"): lambda taken, own, who: files.find(
        taken, file_ids=[own.file_id], thread_id=own.thread_id, account_id=who
    ),
    (files, "note_stored"): lambda taken, own, who: _noted(taken, own, who),  # noqa: PLW0108 - defined below
    (files, "delete"): lambda taken, own, who: files.delete(
        taken, file_id=own.file_id, thread_id=own.thread_id, account_id=who
    ),
    (api_keys, "page"): lambda taken, own, who: api_keys.page(taken, account_id=who, limit=10, offset=0),
    (api_keys, "get"): lambda taken, own, who: api_keys.get(taken, key_id=own.key_id, account_id=who),
    (api_keys, "revoke"): lambda taken, own, who: api_keys.revoke(taken, key_id=own.key_id, account_id=who),
    (webhooks, "due_in_s"): lambda taken, own, who: _as_list(
        webhooks.due_in_s(taken, agent_run_id=own.agent_run_id, account_id=who)
    ),
    (webhooks, "begin"): lambda taken, own, who: _as_list(
        webhooks.begin(taken, agent_run_id=own.agent_run_id, account_id=who, lasts_s=60)
    ),
    (webhooks, "end"): _ended_webhook,
    (tool_executions, "unanswered"): lambda taken, own, who: tool_executions.unanswered(
        taken, thread_id=own.thread_id, account_id=who
    ),
    (tool_executions, "awaiting"): lambda taken, own, who: tool_executions.awaiting(
        taken, thread_id=own.thread_id, account_id=who
    ),
}
INSERTS = {
    (threads, "create"),
    (threads, "ensure_account"),
    (messages, "insert"),
    (runs, "insert"),
    # Under the thread's lock: no state is the newest of a stranger's thread.
    (checkpoints, "check_newest"),
    # Tells of the default plan who has none.
    (plans, "request_rate"),
    (plans, "file_limits"),
    (plans, "connection_limits"),
    (plans, "answer_tool_calls"),
    (plans, "allowed"),
    (api_keys, "create"),
    (assistants, "create"),
    (tool_executions, "begin"),
    (webhooks, "insert"),
}


def _is_scoped(found: Callable[..., object]) -> bool:
    """Whether it is given the account: the others are for whoever holds the run's row."""
    return "account_id" in inspect.signature(found).parameters


def test_every_function_of_the_stores_is_asked_by_a_stranger() -> None:
    public = {
        (store, name)
        for store in {store for store, _ in STRANGERS}
        for name, found in vars(store).items()
        if inspect.iscoroutinefunction(found) and found.__module__ == store.__name__ and _is_scoped(found)
    }
    assert public == STRANGERS.keys() | INSERTS


@pytest.mark.parametrize("ask", STRANGERS.values(), ids=[f"{store.__name__}.{name}" for store, name in STRANGERS])
async def test_a_stranger_sees_and_changes_nothing(
    database: Database, owned: Owned, ask: Callable[[Any, Owned, str], Awaitable[object]]
) -> None:
    async with connection() as taken:
        # GIVEN a question that its owner gets an answer to (undone, so that it can be asked again)
        undone = taken.transaction()
        await undone.start()
        await database.set_run(owned.agent_run_id, status="'completed'")
        answer = await ask(taken, owned, owned.account_id)
        await undone.rollback()
        assert answer != []
        # WHEN a stranger asks the same THEN there is nothing
        try:
            assert await ask(taken, owned, "a stranger") == []
        except NotFoundError as error:
            assert "not found" in error.message
    assert (await database.thread(owned.thread_id))["metadata"] == "{}"
    assert (await database.count("messages"), await database.count("assistants")) == (1, 1)
