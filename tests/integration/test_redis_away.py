"""Redis that is never there: who watches is told what the log never had, and how the thread stands; nobody waits."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from functions.api.sender.main import _serve
from shared import events
from shared.aws.queue import RunMessage
from shared.domain import Json
from shared.runs.failing import fail_handed_over
from shared.runs.settle import settle
from shared.stream import reading, subscriptions
from shared.stream.delivery import Delivery
from shared.stream.filters import Filter
from shared.stream.subscriptions import ConnectionRecord
from tests.integration import opened
from tests.integration.databases import Database
from tests.integration.gateway import Gateway, gateway
from tests.integration.servers import Servers
from tests.integration.waiting import until
from tests.ports import free_port
from tests.thread_logs import hold_of, log_named

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues", "redis", "in_no_table")

ERROR = {"code": "workflow_failed", "message": "the workflow failed"}
HANDED_OVER = {"status": "'running'", "executor": "'workflow'", "handover_no": "1", "attempt": "1"}


@dataclass
class Redis:
    """Where the code under test looks for Redis: at first where nobody is."""

    patch: pytest.MonkeyPatch
    url: str

    async def comes(self) -> None:
        """It is there from now on, and empty."""
        await opened.close_redis()
        self.patch.setenv("REDIS_URL", self.url)
        opened.forget_settings()


@pytest.fixture
async def posts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    async with gateway() as found:
        monkeypatch.setenv("CONNECTIONS_URL", found.url)
        found.open.set()
        yield found


@pytest.fixture
async def redis(posts: Gateway, running: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    del posts
    await opened.close_redis()
    monkeypatch.setattr(reading, "_LOG_PATIENCE_S", 0.6)
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    opened.forget_settings()
    yield Redis(monkeypatch, running.plain_redis_url)
    await opened.close_redis()


async def _watching(thread_id: UUID, account_id: str) -> str:
    record = ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id=account_id,
        thread_id=thread_id,
        opened_at=time.time(),
        credential_expires_at=2**32,
    )
    await subscriptions.put_connection(record)
    wanted = Filter(subscription_id="all", channels=frozenset({"custom", "values", "lifecycle"}))
    await subscriptions.add(record, wanted, since=0)
    return record.connection_id


def _data(frames: list[Json]) -> list[Json]:
    return [frame["params"]["data"] for frame in frames]


async def test_who_watches_a_run_is_told_its_end_and_what_the_log_never_had_of_it(
    posts: Gateway, redis: Redis, database: Database, account_id: str
) -> None:
    # GIVEN a run that has used twenty numbers, and a reader who has got none of them
    thread_id = await database.new_thread(account_id)
    run_id = await database.new_run(thread_id, **HANDED_OVER)
    await database.connection.execute(
        "UPDATE threads SET last_seq = 20, reserved_seq = 20 WHERE thread_id = $1", thread_id
    )
    early = await _watching(thread_id, account_id)
    # WHEN the run ends, and nothing of it can be logged
    message = RunMessage(agent_run_id=run_id, thread_id=thread_id, account_id=account_id)
    await fail_handed_over(message, handover_no=1, error=ERROR)
    await _serve(thread_id, account_id=account_id, limit_s=20, function="the-sender")
    # THEN the reader has a gap, the thread as the database has it, and the end
    told = list(posts.sent[early])
    assert _data(told) == [
        {"name": "gap", "payload": {"from": 1, "to": 20}},
        {"messages": []},
        {"event": "failed", "error": "workflow_failed: the workflow failed"},
    ]
    assert [(frame.get("seq"), frame.get("prev_seq")) for frame in told] == [(None, None), (None, None), (21, 20)]
    # ... and so has one who comes later; nobody is told twice.
    late = await _watching(thread_id, account_id)
    await _serve(thread_id, account_id=account_id, limit_s=20, function="the-sender")
    assert _data(posts.sent[late]) == _data(told)
    assert posts.sent[early] == told
    # WHEN Redis comes THEN the end is logged, under its number, and it is not told again
    await redis.comes()
    assert await settle(agent_run_id=run_id, thread_id=thread_id, account_id=account_id)
    await _serve(thread_id, account_id=account_id, limit_s=20, function="the-sender")
    assert [data for data in _data(posts.sent[early]) if data.get("event")] == [told[-1]["params"]["data"]]


async def test_who_comes_in_the_middle_of_a_run_is_told_what_it_has_missed_and_gets_the_rest(
    posts: Gateway, database: Database, account_id: str
) -> None:
    thread_id = await database.new_thread(account_id)
    connection_id = await _watching(thread_id, account_id)
    delivery = Delivery(hold_of(log_named(thread_id), account_id=account_id, last_seq=20))
    delivery.start()
    made = [events.number(events.custom(uuid4(), "x", {}), generation=thread_id, seq=seq) for seq in (21, 22, 23)]
    await delivery.offer(made[:2])
    # The run goes on: nobody waits for its end.
    await until(lambda: len(posts.sent.get(connection_id, [])) == 4)
    await delivery.offer(made[2:])
    assert await delivery.close(timeout_s=10)
    assert _data(posts.sent[connection_id])[:2] == [
        {"name": "gap", "payload": {"from": 1, "to": 20}},
        {"messages": []},
    ]
    assert posts.seqs(connection_id)[2:] == [21, 22, 23]
