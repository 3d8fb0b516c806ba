"""Webhooks: what a receiver gets of a run's end, and what becomes of a delivery."""

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from functions.api.webhooks import signing
from functions.api.webhooks.delivery import MOST_ATTEMPTS, deliver
from shared.aws.queue import RunMessage
from shared.database import transaction, webhooks
from shared.network.addresses import Address
from shared.runs.record import NewMessage, NewRun, record_run
from shared.runs.settle import settle
from tests.integration import opened
from tests.integration.conftest import StartFunction, store_secret
from tests.integration.databases import Database
from tests.integration.deployed import Deployed, HttpApi
from tests.integration.queues import Queues
from tests.ports import free_port
from tests.webhook_receiver import Receiver, receiving


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch, database: Database) -> AsyncIterator[Receiver]:
    """A receiver on this machine that may be called."""
    async with receiving() as found:
        allowed = [f"{host}:{found.port}" for host in ("127.0.0.1", "rebind.test")]
        monkeypatch.setenv("WEBHOOK_ALLOWED_PRIVATE", ",".join(allowed))
        monkeypatch.setenv("WEBHOOK_SECRET_ARN", await store_secret(json.dumps({"webhook_key": "a key"})))
        opened.forget_settings()
        yield found
    opened.forget_settings()


class Hook:
    """One run with a webhook."""

    def __init__(self, database: Database, account_id: str, thread_id: UUID) -> None:
        self._database, self.account_id, self.thread_id = database, account_id, thread_id
        self.agent_run_id = UUID(int=0)

    async def begin(self, url: str, **columns: str) -> None:
        """The run has ended, and is to be told to ``url``."""
        ended = {"status": "'completed'", "started_at": "now()", "ended_at": "clock_timestamp()"} | columns
        self.agent_run_id = await self._database.new_run(self.thread_id, **ended)
        async with transaction() as taken:
            await webhooks.insert(taken, agent_run_id=self.agent_run_id, account_id=self.account_id, url=url)

    @property
    def message(self) -> RunMessage:
        return RunMessage(agent_run_id=self.agent_run_id, thread_id=self.thread_id, account_id=self.account_id)

    async def row(self) -> asyncpg.Record:
        row = await self._database.connection.fetchrow(
            "SELECT * FROM webhook_deliveries WHERE agent_run_id = $1", self.agent_run_id
        )
        assert row is not None
        return row

    async def set(self, **columns: str) -> None:
        changes = ", ".join(f"{name} = {expression}" for name, expression in columns.items())
        await self._database.connection.execute(
            f"UPDATE webhook_deliveries SET {changes} WHERE agent_run_id = $1",  # noqa: S608
            self.agent_run_id,
        )

    async def make_due(self) -> None:
        await self.set(next_attempt_at="clock_timestamp() - interval '1 s'")


@pytest.fixture
async def hook(database: Database, account_id: str) -> Hook:
    return Hook(database, account_id, await database.new_thread(account_id))


async def test_a_runs_end_is_told_with_its_values_and_signed(hook: Hook, receiver: Receiver) -> None:
    await hook.begin(receiver.url(path="/hook?of=me"))
    await deliver(hook.message)
    [delivery] = receiver.deliveries
    assert delivery.is_signed_with(signing.shown(await signing.account_key(hook.account_id)))
    assert not delivery.is_signed_with(signing.shown(await signing.account_key("another")))
    assert delivery.webhook_id == str(hook.agent_run_id)
    body = delivery.json()
    assert (body["run_id"], body["thread_id"]) == (str(hook.agent_run_id), str(hook.thread_id))
    assert (body["status"], body["error"], body["values"]) == ("success", None, {"messages": []})
    assert body["run_started_at"] <= body["run_ended_at"] <= body["webhook_sent_at"]
    assert (await hook.row())["status"] == "delivered"
    # WHEN it is attempted once more THEN there is nothing to do
    await hook.make_due()
    await deliver(hook.message)
    assert len(receiver.deliveries) == 1


async def test_a_failed_run_is_told_with_its_error(hook: Hook, receiver: Receiver) -> None:
    await hook.begin(receiver.url(), status="'failed'", error="""'{"code": "x", "message": "broke"}'""")
    await deliver(hook.message)
    body = receiver.deliveries[0].json()
    assert (body["status"], body["error"]) == ("error", {"code": "x", "message": "broke"})


async def test_a_run_that_has_not_ended_is_not_told(hook: Hook, receiver: Receiver) -> None:
    await hook.begin(receiver.url(), status="'running'", ended_at="NULL")
    await deliver(hook.message)
    assert receiver.deliveries == []
    assert (await hook.row())["attempts"] == 0


async def test_failures_are_tried_again_under_the_same_id(hook: Hook, receiver: Receiver) -> None:
    receiver.statuses = [500, 404]
    await hook.begin(receiver.url())
    for _ in range(2):
        await deliver(hook.message)
        row = await hook.row()
        assert (row["status"], row["next_attempt_at"] > row["updated_at"]) == ("pending", True)
        # Not due yet: nothing is sent.
        await deliver(hook.message)
        await hook.make_due()
    assert (await hook.row())["problem"] == "the receiver answered 404"
    await deliver(hook.message)
    assert ((await hook.row())["status"], (await hook.row())["attempts"]) == ("delivered", 3)
    assert len(receiver.deliveries) == 3
    assert {delivery.webhook_id for delivery in receiver.deliveries} == {str(hook.agent_run_id)}


async def test_410_ends_it(hook: Hook, receiver: Receiver) -> None:
    receiver.statuses = [410]
    await hook.begin(receiver.url())
    await deliver(hook.message)
    assert (await hook.row())["status"] == "gone"
    await hook.make_due()
    await deliver(hook.message)
    assert len(receiver.deliveries) == 1


async def test_the_last_attempt_gives_up(hook: Hook, receiver: Receiver) -> None:
    receiver.statuses = [500]
    await hook.begin(receiver.url())
    await hook.set(attempts=str(MOST_ATTEMPTS - 1))
    await deliver(hook.message)
    assert (await hook.row())["status"] == "given_up"


async def test_a_redirect_is_not_followed(hook: Hook, receiver: Receiver) -> None:
    receiver.statuses, receiver.headers = [307], {"location": receiver.url(path="/elsewhere")}
    await hook.begin(receiver.url())
    await deliver(hook.message)
    assert len(receiver.deliveries) == 1
    assert (await hook.row())["problem"] == "the receiver answered 307"


async def test_a_receiver_that_is_not_there_is_a_failure(
    hook: Hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("WEBHOOK_ALLOWED_PRIVATE", f"127.0.0.1:{port}")
    opened.forget_settings()
    await hook.begin(f"http://127.0.0.1:{port}/")
    await deliver(hook.message)
    row = await hook.row()
    assert (row["status"], row["attempts"]) == ("pending", 1)
    assert "Cannot connect" in row["problem"]


async def test_a_name_that_stands_for_a_private_address_is_not_called(hook: Hook, receiver: Receiver) -> None:
    async def here(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    await hook.begin(f"https://public.test:{receiver.port}/")
    await deliver(hook.message, resolver=here)
    assert receiver.deliveries == []
    assert "not on the public internet" in (await hook.row())["problem"]


async def test_the_address_that_was_checked_is_the_one_that_is_called(hook: Hook, receiver: Receiver) -> None:
    asked: list[str] = []

    async def once(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address("127.0.0.1")]

    # The name does not resolve: whoever asked for it again would not get there.
    await hook.begin(receiver.url(host="rebind.test"))
    await deliver(hook.message, resolver=once)
    assert asked == ["rebind.test"]
    assert receiver.deliveries[0].headers["host"] == f"rebind.test:{receiver.port}"


async def test_of_two_at_once_one_delivers(hook: Hook, receiver: Receiver) -> None:
    await hook.begin(receiver.url())
    await asyncio.gather(*(deliver(hook.message) for _ in range(2)))
    assert len(receiver.deliveries) == 1


async def test_an_attempt_that_died_is_followed_by_another(hook: Hook, receiver: Receiver) -> None:
    await hook.begin(receiver.url())
    async with transaction() as taken:
        attempt = await webhooks.begin(taken, agent_run_id=hook.agent_run_id, account_id=hook.account_id, lasts_s=60)
    assert attempt is not None
    await deliver(hook.message)
    assert receiver.deliveries == []
    await hook.make_due()
    await deliver(hook.message)
    # WHEN the first turns out to be alive THEN it says nothing
    async with transaction() as taken:
        await webhooks.end(
            taken,
            agent_run_id=hook.agent_run_id,
            account_id=hook.account_id,
            attempts=attempt.attempts,
            outcome="given_up",
        )
    assert ((await hook.row())["status"], len(receiver.deliveries)) == ("delivered", 1)


async def test_settling_has_the_watch_come_at_once(hook: Hook, receiver: Receiver, queues: Queues) -> None:
    await hook.begin(receiver.url())
    await settle(agent_run_id=hook.agent_run_id, thread_id=hook.thread_id, account_id=hook.account_id)
    assert await queues.visible("watch") == [hook.message]
    await settle(agent_run_id=hook.agent_run_id, thread_id=hook.thread_id, account_id=hook.account_id)
    assert await queues.visible("watch") == []


async def test_it_is_recorded_with_its_run(hook: Hook, receiver: Receiver, queues: Queues) -> None:
    run = await record_run(
        NewRun(
            account_id=hook.account_id,
            thread_id=hook.thread_id,
            assistant_id="agent",
            messages=[NewMessage(type="user", content={"role": "user", "content": "hello"})],
            webhook="https://example.com/hook",
        )
    )
    hook.agent_run_id = run.agent_run_id
    row = await hook.row()
    assert (row["url"], row["status"], row["account_id"]) == ("https://example.com/hook", "pending", hook.account_id)


@pytest.fixture(scope="module")
async def environment() -> dict[str, str]:
    return {"WEBHOOK_SECRET_ARN": await store_secret(json.dumps({"webhook_key": "a key"}))}


@pytest.fixture(scope="module")
def http(start_function: StartFunction, environment: dict[str, str]) -> HttpApi:
    return HttpApi(start_function("functions.api.http.main.handler", **environment))


RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}


@pytest.mark.parametrize("path", ["/threads/{}/runs", "/threads/{}/runs/wait", "/threads/{}/runs/stream"])
def test_a_url_that_may_not_be_called_is_refused_and_nothing_is_recorded(
    http: HttpApi, account_id: str, path: str
) -> None:
    thread_id = http.request("POST", "/threads", {}, account_id=account_id).body["thread_id"]
    for url in ("http://example.com/", "https://127.0.0.1/", "nonsense"):
        answer = http.request("POST", path.format(thread_id), RUN | {"webhook": url}, account_id=account_id)
        assert (answer.status, answer.body["code"]) == (422, "invalid_argument")
        assert answer.body["message"].startswith("webhook: ")
    assert http.request("GET", f"/threads/{thread_id}/runs", account_id=account_id).body == []


def test_the_secret_is_the_accounts_own_and_stays(http: HttpApi, account_id: str) -> None:
    def secret(of: str) -> str:
        answer = http.request("GET", "/webhooks/secret", account_id=of)
        assert answer.status == 200
        return answer.body["secret"]

    assert secret(account_id).startswith("whsec_")
    assert secret(account_id) == secret(account_id) != secret(f"other {account_id}")


def test_a_key_that_may_only_read_does_not_get_the_secret(http: HttpApi, account_id: str) -> None:
    made = http.request("POST", "/api-keys", {"name": "reader", "scopes": ["read"]}, account_id=account_id).body
    answer = http.request("GET", "/webhooks/secret", headers={"x-api-key": made["secret"]})
    assert (answer.status, answer.body["code"]) == (403, "forbidden")


async def test_the_watch_delivers_and_goes(
    deployed: Deployed, start_function: StartFunction, environment: dict[str, str], account_id: str
) -> None:
    async with receiving() as receiver:
        allowed = f"127.0.0.1:{receiver.port}"
        watch = start_function("functions.api.watch.main.handler", **environment, WEBHOOK_ALLOWED_PRIVATE=allowed)
        thread_id = await deployed.database.new_thread(account_id)
        runs: list[UUID] = []
        for number in range(3):
            agent_run_id = await deployed.database.new_run(
                thread_id, status="'completed'", ended_at="clock_timestamp()"
            )
            runs.append(agent_run_id)
            await deployed.database.connection.execute(
                "INSERT INTO webhook_deliveries (agent_run_id, account_id, url) VALUES ($1, $2, $3)",
                *(agent_run_id, account_id, receiver.url(path=f"/{number}")),
            )
            body = RunMessage(agent_run_id=agent_run_id, thread_id=thread_id, account_id=account_id).body()
            await deployed.queues.send("watch", body)
        receiver.statuses = [503]
        records = await _records(deployed.queues, runs)
        # WHEN a receiver is away once THEN that watch comes back, and the others go
        answer = await asyncio.to_thread(watch.invoke, {"Records": records})
        [failed] = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        assert len(receiver.deliveries) == 3
        statuses = "SELECT status FROM webhook_deliveries WHERE account_id = $1 ORDER BY status"
        rows = await deployed.database.connection.fetch(statuses, account_id)
        assert [row["status"] for row in rows] == ["delivered", "delivered", "pending"]
        assert all([(await deployed.database.run(run))["settled_at"] for run in runs])
        # WHEN it is due THEN it is told, and its watch goes
        await deployed.database.connection.execute(
            "UPDATE webhook_deliveries SET next_attempt_at = now() WHERE account_id = $1", account_id
        )
        again = [record for record in records if record["messageId"] == failed]
        assert await asyncio.to_thread(watch.invoke, {"Records": again}) == {"batchItemFailures": []}
        assert {delivery.webhook_id for delivery in receiver.deliveries} == {str(run) for run in runs}
        assert len(receiver.deliveries) == 4


async def _records(queues: Queues, runs: list[UUID]) -> list[dict[str, Any]]:
    """The watch messages of these runs."""
    found: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(30):
        while len(found) < len(runs):
            for record in await queues.records("watch"):
                if json.loads(record["body"]).get("agent_run_id") in {str(run) for run in runs}:
                    found[record["messageId"]] = record
    return list(found.values())
