"""The watch function: which messages go, and which come back."""

import copy
import socket
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.aws.queue import AccountMessage, RunMessage
from tests.cable import Cable
from tests.integration.conftest import StartFunction, create_queues, store_secret
from tests.integration.deployed import Deployed, aws_event
from tests.integration.function_process import FunctionProcess
from tests.integration.queues import Queues
from tests.integration.waiting import until

HANDLER = "functions.api.watch.main.handler"
PAST = "clock_timestamp() - interval '20 s'"


@pytest.fixture(scope="module")
async def own(deployed: Deployed) -> Deployed:
    """What is deployed, with queues that no other function sends to."""
    urls = await create_queues()
    environment = {f"{name.upper()}_QUEUE_URL": url for name, url in urls.items()}
    return Deployed(deployed.database, Queues(urls), environment)


@pytest.fixture(scope="module")
def watch(start_function: StartFunction, own: Deployed) -> FunctionProcess:
    return start_function(HANDLER, **own.environment)


async def _received(own: Deployed, *bodies: object) -> list[dict[str, Any]]:
    """Send messages to the watch queue, and receive them as Lambda's poller does."""
    for body in bodies:
        await own.queues.send("watch", body.body() if isinstance(body, RunMessage | AccountMessage) else body)
    found: list[dict[str, Any]] = []

    async def all_of_them() -> bool:
        found.extend(await own.queues.records("watch"))
        return len(found) >= len(bodies)

    await until(all_of_them)
    order = [body.body() if isinstance(body, RunMessage | AccountMessage) else body for body in bodies]
    return sorted(found, key=lambda record: order.index(record["body"]))


async def _message(own: Deployed, account_id: str, **columns: str) -> RunMessage:
    thread_id = await own.database.new_thread(account_id)
    agent_run_id = await own.database.new_run(thread_id, **columns)
    return RunMessage(agent_run_id=agent_run_id, thread_id=thread_id, account_id=account_id, request_id="request")


def _failed(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


async def test_of_a_batch_exactly_those_come_back_that_are_not_over(
    watch: FunctionProcess, own: Deployed, account_id: str
) -> None:
    # GIVEN a settled run, a queued one, an unknown one, one that nobody settled, and what is no watch at all
    settled = await _message(own, account_id, status="'completed'", settled_at="now()")
    queued = await _message(own, account_id)
    unknown = RunMessage(agent_run_id=uuid4(), thread_id=uuid4(), account_id=account_id)
    unsettled = await _message(own, account_id, status="'failed'")
    records = await _received(own, settled, queued, unknown, unsettled, "forged", "[" * 50_000)
    # WHEN they come in one batch
    answer = watch.invoke({"Records": records})
    # THEN those come back whose run is not over, or may still be being recorded
    assert _failed(answer) == [records[1]["messageId"], records[2]["messageId"]]
    assert (await own.database.run(unsettled.agent_run_id))["settled_at"] is not None
    # AND not at once: their visibility was set
    assert await own.queues.records("watch") == []


async def test_an_abandoned_run_is_dispatched_and_watched_on(
    watch: FunctionProcess, own: Deployed, account_id: str
) -> None:
    abandoned = await _message(
        own, account_id, status="'running'", attempt="1", lease_expires_at=PAST, dispatched_at=PAST
    )
    [record] = await _received(own, abandoned)
    assert _failed(watch.invoke({"Records": [record]})) == [record["messageId"]]
    assert abandoned in await own.queues.visible("retry")
    lines = [line for line in watch.log_lines() if line.get("agent_run_id") == str(abandoned.agent_run_id)]
    assert all(line["request_id"] == "request" for line in lines)


def _dead(message: RunMessage) -> dict[str, Any]:
    """A record of a dead-letter queue."""
    [record] = copy.deepcopy(aws_event("sqs")["Records"])
    record["body"] = message.body()
    record["attributes"]["SentTimestamp"] = str(round(time.time() * 1000))
    return record


async def test_a_dead_run_message_is_looked_after_once_and_goes(
    watch: FunctionProcess, own: Deployed, account_id: str
) -> None:
    abandoned = await _message(
        own, account_id, status="'running'", attempt="1", lease_expires_at=PAST, dispatched_at=PAST
    )
    assert watch.invoke({"Records": [_dead(abandoned)]}) == {"batchItemFailures": []}
    assert abandoned in await own.queues.visible("retry")


async def test_an_old_watch_of_a_run_that_never_came_to_be_goes(
    watch: FunctionProcess, own: Deployed, account_id: str
) -> None:
    [record] = await _received(own, RunMessage(agent_run_id=uuid4(), thread_id=uuid4(), account_id=account_id))
    record["attributes"]["SentTimestamp"] = str(round((time.time() - 301) * 1000))
    assert watch.invoke({"Records": [record]}) == {"batchItemFailures": []}


async def test_every_watch_comes_back_while_postgresql_is_down(
    own: Deployed, start_function: StartFunction, account_id: str
) -> None:
    cable = Cable(own.database.port)
    secret = await store_secret(own.database.secret(port=cable.port))
    away = start_function(HANDLER, **own.environment, DATABASE_SECRET_ARN=secret)
    unsettled = await _message(own, account_id, status="'failed'")
    [record] = await _received(own, unsettled)
    assert _failed(away.invoke({"Records": [record]})) == [record["messageId"]]
    # WHEN it is back THEN the watch does its work
    cable.plug()
    assert away.invoke({"Records": [record]}) == {"batchItemFailures": []}
    cable.cut()
    assert (await own.database.run(UUID(str(unsettled.agent_run_id))))["settled_at"] is not None


async def test_a_batch_comes_back_in_time_while_postgresql_is_silent(
    own: Deployed, start_function: StartFunction, account_id: str
) -> None:
    # GIVEN a server that takes connections, and says nothing
    with socket.create_server(("127.0.0.1", 0)) as silent:
        secret = await store_secret(own.database.secret(port=silent.getsockname()[1]))
        away = start_function(HANDLER, **own.environment, DATABASE_SECRET_ARN=secret)
        messages = [await _message(own, account_id, status="'failed'") for _ in range(9)]
        records = await _received(own, *messages, AccountMessage(account_id="a deleted one"))
        begun = time.monotonic()
        # WHEN a batch comes of which each would take as long as connecting may
        answer = away.invoke({"Records": records})
    # THEN one has been tried, and all come back: long before the function's time was over, and the queue's
    assert _failed(answer) == [record["messageId"] for record in records]
    tried = [line for line in away.log_lines() if "comes back" in str(line.get("message"))]
    assert len(tried) == 1
    # Not at once, though: after ten seconds, which may be over by now where the machine has much else to do.
    assert await own.queues.records("watch") == [] or time.monotonic() >= begun + 10
