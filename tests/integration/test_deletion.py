"""Deleting an account: nothing of it is left, wherever it was and whatever died meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from functions.api.deletions import request_deletion
from functions.api.watch import deletion
from functions.api.watch.deletion import look_after_deletion
from functions.api.watch.sweep import sweep_some
from shared.aws.queue import SweepMessage
from shared.database import (
    accounts,
    budgets,
    connection,
    plans,
    threads,
    transaction,
)
from shared.errors import ConflictError, NotFoundError
from shared.runs.record import NewRun, create_thread, record_run
from shared.runs.settle import Done, LookAgain
from tests.integration import opened
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deleted_account import Account
from tests.integration.deployed import Deployed, HttpApi
from tests.integration.queues import Queues
from tests.integration.waiting import until
from tests.traces import tables_of_accounts, traces

SOON = "clock_timestamp() + interval '20 s'"

pytestmark = pytest.mark.usefixtures("hung_up")


@pytest.fixture
async def account(
    database: Database, queues: Queues, subscriptions_table: str, account_id: str
) -> AsyncIterator[Account]:
    account = Account(database, account_id)
    await account.fill()
    yield account
    await opened.close_redis()


async def test_nothing_of_the_account_is_left_and_all_of_the_others(database: Database, account: Account) -> None:
    other = Account(database, f"other-{uuid4()}")
    await other.fill()
    before = await other.left()
    # GIVEN that every table that knows accounts knows this one: a table that is added has to be filled here
    assert await tables_of_accounts(database.connection) <= (await account.left()).keys()
    assert {"items", "keys"} <= (await account.left()).keys()
    await request_deletion(account.account_id)
    assert await look_after_deletion(account.message, age_s=0) == Done()
    assert await account.left() == {}
    assert await other.left() == before


async def test_it_is_asked_for_durably(account: Account, queues: Queues) -> None:
    await request_deletion(account.account_id)
    bodies = [json.loads(record["body"]) for record in await queues.records("watch")]
    assert [body["delete_account"] for body in bodies] == [account.account_id]
    # A second one comes later, whatever becomes of the first.
    assert await queues.delayed("watch") == 1


async def test_unfinished_runs_are_stopped_first(account: Account, database: Database) -> None:
    queued = await database.new_run(account.thread_ids[0])
    held = await database.new_run(account.thread_ids[1], status="'running'", attempt="1", lease_expires_at=SOON)
    await request_deletion(account.account_id)
    # WHEN a run is held THEN its holder is asked, and all but its thread goes
    assert isinstance(await look_after_deletion(account.message, age_s=0), LookAgain)
    assert (await database.run(held))["stop_requested"] == "stop"
    assert await database.connection.fetchval("SELECT count(*) FROM agent_runs WHERE agent_run_id = $1", queued) == 0
    left = await account.left()
    assert (left["threads"], left["accounts"]) == (1, 1)
    # WHEN the holder has died THEN the run ends without it
    await database.expire_lease(held)
    assert await look_after_deletion(account.message, age_s=0) == Done()
    assert await account.left() == {}


async def test_an_account_that_is_being_deleted_records_no_runs(account: Account) -> None:
    await request_deletion(account.account_id)
    new = NewRun(account_id=account.account_id, thread_id=account.thread_ids[0], assistant_id="agent", messages=[])
    with pytest.raises(NotFoundError):
        await record_run(new)


@pytest.mark.parametrize("dying", ["_stop", "subscriptions", "log", "control", "threads", "accounts"])
async def test_a_deletion_that_dies_anywhere_is_carried_on(
    account: Account, database: Database, monkeypatch: pytest.MonkeyPatch, dying: str
) -> None:
    await database.new_run(account.thread_ids[0])
    await request_deletion(account.account_id)

    class Died(Exception):
        pass

    async def die(*_: Any, **__: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        if dying == "_stop":
            patch.setattr(deletion, "_stop", die)
        else:
            name = "delete" if dying in {"threads", "accounts"} else "forget"
            patch.setattr(getattr(deletion, dying), name, die)
        with pytest.raises(Died):
            await look_after_deletion(account.message, age_s=0)
    # The mark is what says that there is more to do.
    assert (await account.left())["accounts"] == 1
    assert await look_after_deletion(account.message, age_s=0) == Done()
    assert await account.left() == {}


async def test_a_round_that_has_no_time_left_goes_on_in_the_next(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "_MESSAGES", 1)
    await request_deletion(account.account_id)
    rounds = 0
    while await look_after_deletion(account.message, age_s=0, round_s=0) != Done():
        rounds += 1
    assert rounds == len(account.thread_ids)
    assert await account.left() == {}


@pytest.mark.parametrize(("age_s", "over"), [(0.0, False), (301.0, True)])
async def test_an_account_that_nobody_marked_is_left_alone(account: Account, age_s: float, over: bool) -> None:
    before = await account.left()
    assert (await look_after_deletion(account.message, age_s=age_s) == Done()) == over
    assert await account.left() == before


async def test_what_comes_afterwards_begins_anew(account: Account, database: Database) -> None:
    await request_deletion(account.account_id)
    assert await look_after_deletion(account.message, age_s=0) == Done()
    await database.new_thread(account.account_id)
    # A watch that comes late deletes nothing.
    assert isinstance(await look_after_deletion(account.message, age_s=10), LookAgain)
    assert (await account.left())["threads"] == 1


async def _delete(account: Account) -> None:
    await request_deletion(account.account_id)
    assert await look_after_deletion(account.message, age_s=0) == Done()


async def _use_today(account: Account, tokens: int) -> None:
    taken = account.database.connection
    await taken.execute("DELETE FROM account_usage WHERE account_id = $1", account.account_id)
    await taken.execute(
        "INSERT INTO account_usage VALUES ($1, (clock_timestamp() AT TIME ZONE 'UTC')::date, $2, 0.5)",
        *(account.account_id, tokens),
    )


async def test_to_delete_an_account_gives_it_no_second_day(account: Account, database: Database) -> None:
    for tokens in (1000, 2000):  # and neither does it the second time
        await _use_today(account, tokens)
        await _delete(account)
        # Nothing says whose it was.
        assert await account.left() == {}
        await database.new_thread(account.account_id)
        async with connection() as taken:
            budget = (await budgets.of_day(taken, account_id=account.account_id)).budget
        assert (budget.tokens, budget.cost_usd) == (tokens, 0.5)
        assert await database.count("deleted_accounts") == 0


async def _swept() -> None:
    assert await sweep_some(SweepMessage(next_in_s=60), age_s=0, round_s=20) == Done()


async def test_what_a_deleted_account_had_used_is_forgotten_when_the_day_is_over(
    account: Account, database: Database
) -> None:
    await _use_today(account, 1000)
    await _delete(account)
    await _swept()
    assert await database.count("deleted_accounts") == 1
    await database.connection.execute("UPDATE deleted_accounts SET day = day - 1")
    await _swept()
    assert await database.count("deleted_accounts") == 0


async def test_a_day_that_is_over_is_not_given_back(account: Account, database: Database) -> None:
    await _use_today(account, 1000)
    await _delete(account)
    await database.connection.execute("UPDATE deleted_accounts SET day = day - 1")
    await database.new_thread(account.account_id)
    async with connection() as taken:
        assert (await budgets.of_day(taken, account_id=account.account_id)).budget.tokens == 0
    assert await database.count("account_usage") == 0


async def test_an_operators_plan_outlives_the_account(account: Account, database: Database) -> None:
    await database.connection.execute(
        "INSERT INTO plans (plan_id, max_unfinished_runs, requests_per_minute) VALUES ('small', 1, 7)"
    )
    await database.connection.execute("UPDATE accounts SET plan_id = 'small' WHERE account_id = $1", account.account_id)
    for _ in range(2):
        await _delete(account)
        await database.connection.execute("UPDATE deleted_accounts SET day = day - 1")
        await _swept()
        async with connection() as taken:
            # Also before it begins anew.
            assert (await plans.request_rate(taken, account_id=account.account_id))[0] == 7
        await database.new_thread(account.account_id)
        plan = await database.connection.fetchval(
            "SELECT plan_id FROM accounts WHERE account_id = $1", account.account_id
        )
        assert plan == "small"


async def test_an_account_that_comes_back_many_times_at_once_comes_back_once(
    account: Account, database: Database
) -> None:
    await _use_today(account, 1000)
    await _delete(account)

    async def begin() -> None:
        async with transaction() as taken:
            await threads.ensure_account(taken, account_id=account.account_id)

    await asyncio.gather(*(begin() for _ in range(8)))
    async with connection() as taken:
        assert (await budgets.of_day(taken, account_id=account.account_id)).budget.tokens == 1000


@pytest.fixture(scope="module")
def http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function("functions.api.http.main.handler"))


def test_an_api_key_cannot_delete_its_account(http: HttpApi, account_id: str) -> None:
    secret = http.request("POST", "/api-keys", {"name": "x"}, account_id=account_id).body["secret"]
    answer = http.request("DELETE", "/account", headers={"x-api-key": secret})
    assert (answer.status, answer.body["code"]) == (403, "forbidden")
    assert http.request("GET", "/api-keys", account_id=account_id).body != []


async def test_the_functions_delete_an_account(
    http: HttpApi, deployed: Deployed, start_function: StartFunction, account_id: str
) -> None:
    watch = start_function("functions.api.watch.main.handler")
    thread_id = http.request("POST", "/threads", {}, account_id=account_id).body["thread_id"]
    for _ in range(2):  # to ask twice is to ask once
        assert http.request("DELETE", "/account", account_id=account_id).status == 202

    records: list[dict[str, Any]] = []

    async def asked() -> bool:
        for record in await deployed.queues.records("watch"):
            if json.loads(record["body"]).get("delete_account") == account_id:
                records.append(record)
        return bool(records)

    await until(asked)
    assert watch.invoke({"Records": records[:1]}) == {"batchItemFailures": []}
    assert await traces(deployed.database.connection, account_id, thread_id) == {}


async def test_however_often_it_is_asked_for_one_round_is_under_way(account: Account, database: Database) -> None:
    await request_deletion(account.account_id)
    async with connection() as taken:
        assert await accounts.begin_round(taken, account_id=account.account_id, for_s=60)
    before = await account.left()
    for _ in range(3):
        assert isinstance(await look_after_deletion(account.message, age_s=0), LookAgain)
    assert await account.left() == before
    # WHEN who had it is dead THEN somebody else goes on
    await database.connection.execute("UPDATE accounts SET deleting_until = now() - interval '1 s'")
    assert await look_after_deletion(account.message, age_s=0) == Done()


async def test_an_account_that_is_being_deleted_gets_nothing_more(account: Account) -> None:
    await request_deletion(account.account_id)
    with pytest.raises(ConflictError, match="is being deleted"):
        await create_thread(account_id=account.account_id, thread_id=uuid4(), metadata={}, exist_ok=False)
