"""Lists of what is large: a page ends where an answer would become too large, and no more than that is rendered."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.agent_config import AgentConfig
from shared.database import Connection, assistants, connection, runs, threads
from shared.database.pages import LARGEST_PAGE_BYTES, Page
from shared.storable import jsonb
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deployed import Deployed, HttpApi

COUNT = 40
LARGE = {"x": "x" * 400_000}
# So many of them have room, and one more is looked at.
FIT = LARGEST_PAGE_BYTES // 400_000

type Found = tuple[Sequence[UUID], int, bool]
"""Ids of a page's items, the offset behind them, whether they are the last."""
type Search = Callable[[Connection, str, int, int], Awaitable[Found]]


def _of_threads(**wanted: Any) -> Search:
    async def search(taken: Connection, account_id: str, limit: int, offset: int) -> Found:
        defaults: dict[str, Any] = {"metadata": {}, "thread_ids": None, "last_run_statuses": None}
        found = await threads.search(taken, account_id=account_id, limit=limit, offset=offset, **(defaults | wanted))
        return [thread.thread_id for thread in found.items], found.end, found.is_last

    return search


def _of_assistants(**wanted: Any) -> Search:
    async def search(taken: Connection, account_id: str, limit: int, offset: int) -> Found:
        found = await assistants.search(
            taken, account_id=account_id, metadata={}, name=None, limit=limit, offset=offset, **wanted
        )
        return [assistant.assistant_id for assistant in found.items], found.end, found.is_last

    return search


SEARCHES: dict[str, tuple[str, Search]] = {
    "threads": ("thread_id", _of_threads()),
    "threads by status": ("thread_id", _of_threads(last_run_statuses=[None])),
    "threads, oldest first": ("-thread_id", _of_threads(descending=False)),
    "assistants": ("assistant_id", _of_assistants()),
    "assistants, oldest first": ("-assistant_id", _of_assistants(descending=False)),
}


@pytest.fixture
async def newest_first(database: Database, account_id: str) -> dict[str, list[UUID]]:
    """Forty threads, and as many assistants, each of 400 KB: their ids."""
    ids: dict[str, list[UUID]] = {"thread_id": [], "assistant_id": []}
    async with connection() as taken:
        for _ in range(COUNT):
            ids["thread_id"].insert(0, thread_id := uuid4())
            async with taken.transaction():
                await threads.ensure_account(taken, account_id=account_id)
                await threads.create(taken, thread_id=thread_id, account_id=account_id, metadata=LARGE)
            ids["assistant_id"].insert(0, assistant_id := uuid4())
            async with taken.transaction():
                await assistants.create(
                    taken,
                    assistant_id=assistant_id,
                    account_id=account_id,
                    name="large",
                    description=None,
                    config=AgentConfig(),
                    metadata=LARGE,
                )
    return ids


@pytest.mark.parametrize("what", SEARCHES)
async def test_a_search_answers_what_has_room_and_says_where_the_rest_begins(
    newest_first: dict[str, list[UUID]], account_id: str, what: str
) -> None:
    name, search = SEARCHES[what]
    wanted = newest_first[name.removeprefix("-")][:: -1 if name.startswith("-") else 1]
    async with connection() as taken:
        found, end, is_last = await search(taken, account_id, 1000, 0)
        assert (len(found), end, is_last) == (FIT, FIT, False)
        # Small pages are what was asked for, to the last.
        assert await search(taken, account_id, 3, 1) == (wanted[1:4], 4, False)
        assert await search(taken, account_id, 3, COUNT - 3) == (wanted[-3:], COUNT, True)
        while not is_last:
            more, end, is_last = await search(taken, account_id, 1000, end)
            found = [*found, *more]
    assert found == wanted


async def test_versions_and_runs_end_early_too(
    database: Database, newest_first: dict[str, list[UUID]], account_id: str
) -> None:
    # GIVEN an assistant of many versions that share large metadata, and a thread of many runs with as much
    assistant_id, thread_id = newest_first["assistant_id"][0], newest_first["thread_id"][0]
    await database.connection.execute(
        "INSERT INTO assistant_versions (assistant_id, version, name, config)"
        " SELECT $1, n, 'large', '{}' FROM generate_series(2, $2::int) n",
        assistant_id,
        COUNT,
    )
    run_ids = [await database.new_run(thread_id, metadata=f"'{jsonb(LARGE)}'") for _ in range(COUNT)][::-1]
    found: list[UUID] = []
    async with connection() as taken:
        # WHEN they are read THEN pages have what has room
        of = {"assistant_id": assistant_id, "account_id": account_id, "metadata": {}}
        newest: Page[Any] = await assistants.versions(taken, **of, limit=1000, offset=0)
        assert [one.version for one in newest.items] == list(range(COUNT, COUNT - FIT, -1))
        assert (newest.end, newest.is_last) == (FIT, False)
        while page := await runs.page(
            taken, thread_id=thread_id, account_id=account_id, statuses=None, limit=1000, offset=len(found)
        ):
            assert len(page) <= FIT
            found += [run.agent_run_id for run in page]
    # AND together all there are.
    assert found == run_ids


async def test_no_more_is_rendered_than_is_answered(
    database: Database, newest_first: dict[str, list[UUID]], account_id: str
) -> None:
    thread_id = newest_first["thread_id"][0]
    for _ in range(COUNT):
        await database.new_run(thread_id, metadata=f"'{jsonb(LARGE)}'")
    statements = (
        (threads._SQL["page"], (account_id, newest_first["thread_id"], LARGEST_PAGE_BYTES)),
        (
            assistants._SQL["page"],
            (account_id, newest_first["assistant_id"], [1] * COUNT, LARGEST_PAGE_BYTES, False),
        ),
        (runs._SQL["list"], (thread_id, account_id, None, 1000, 0, LARGEST_PAGE_BYTES)),
    )
    async with connection() as taken:
        for statement, values in statements:
            plan = json.loads(await taken.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values))
            assert FIT < _read(plan[0]["Plan"]) <= FIT + 2


def _read(node: dict[str, Any]) -> int:
    """Of how many a statement has asked how large they are."""
    own = node["Actual Rows"] if node["Node Type"] == "Recursive Union" else 0
    return round(own) + sum(_read(inner) for inner in node.get("Plans", []))


async def test_what_is_deleted_while_it_is_read_is_left_out(
    database: Database, newest_first: dict[str, list[UUID]], account_id: str
) -> None:
    ids = newest_first["thread_id"]
    async with connection() as taken:
        await threads.delete(taken, thread_id=ids[1], account_id=account_id)
        rows = await taken.fetch(threads._SQL["page"], account_id, ids[:3], LARGEST_PAGE_BYTES)
    assert [(row["number"], row["thread_id"]) for row in rows] == [(1, ids[0]), (3, ids[2])]


def test_a_search_that_ends_early_says_where_to_go_on(start_function: StartFunction, account_id: str) -> None:
    http = HttpApi(start_function("functions.api.http.main.handler"))
    metadata = {"x": "x" * 65_000}
    made = [
        http.request("POST", "/threads", {"metadata": metadata}, account_id=account_id).body["thread_id"]
        for _ in range(50)
    ]
    first = http.request("POST", "/threads/search", {"limit": 1000}, account_id=account_id)
    assert (first.status, len(first.body)) == (200, 46)
    assert (first.headers["x-pagination-next"], first.headers["x-pagination-total"]) == ("46", "47")
    rest = http.request("POST", "/threads/search", {"limit": 1000, "offset": 46}, account_id=account_id)
    assert [one["thread_id"] for one in (*first.body, *rest.body)] == made[::-1]
    assert "x-pagination-next" not in rest.headers
    assert rest.headers["x-pagination-total"] == "50"


async def test_all_are_stopped_and_answered_are_as_many_as_have_room(
    deployed: Deployed, start_function: StartFunction, account_id: str
) -> None:
    database = deployed.database
    thread_id = await database.new_thread(account_id)
    run_ids = [str(await database.new_run(thread_id, metadata=f"'{jsonb(LARGE)}'")) for _ in range(COUNT)]
    http = HttpApi(start_function("functions.api.http.main.handler"))
    answer = http.request("POST", "/runs/cancel", {"thread_id": str(thread_id)}, account_id=account_id)
    assert (answer.status, [run["run_id"] for run in answer.body]) == (200, run_ids[:FIT])
    statuses = await database.connection.fetch("SELECT status FROM agent_runs WHERE account_id = $1", account_id)
    assert [row["status"] for row in statuses] == ["stopped"] * COUNT
