"""Requests with an ``Idempotency-Key``, through the HTTP function on a real database."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from shared.database import idempotency, transaction
from shared.database.idempotency import Once, ReplayedError
from shared.errors import InvalidRequestError, SunaError
from shared.runs import record
from shared.runs.record import NewMessage, NewRun, record_run
from tests.integration.databases import Database
from tests.integration.queues import Queues


@dataclass
class Asking:
    """Asks for a run with a key."""

    account_id: str
    thread_id: UUID

    def once(self, key: str = "key", *, body: bytes = b"body") -> Once:
        return Once(
            account_id=self.account_id,
            route=f"POST /threads/{self.thread_id}/runs",
            key=key,
            body_hash=body,
            answer=lambda run: {"run_id": str(run.agent_run_id)},
        )

    async def __call__(self, once: Once) -> str:
        message = NewMessage(type="user", content={"role": "user", "content": "hello"})
        new = NewRun(account_id=self.account_id, thread_id=self.thread_id, assistant_id="agent", messages=[message])
        try:
            return str((await record_run(new, once=once)).agent_run_id)
        except ReplayedError as replayed:
            return replayed.answer["run_id"]


@pytest.fixture
async def ask(database: Database, queues: Queues, account_id: str) -> Asking:
    return Asking(account_id, await database.new_thread(account_id))


async def test_the_same_request_is_carried_out_once(database: Database, ask: Asking) -> None:
    first = await ask(ask.once())
    assert await ask(ask.once()) == first
    assert await ask(ask.once("another key")) != first
    assert await database.count("agent_runs") == 2


async def test_of_many_at_once_one_is_carried_out(database: Database, ask: Asking) -> None:
    answers = await asyncio.gather(*(ask(ask.once()) for _ in range(8)))
    assert len(set(answers)) == 1
    assert (await database.count("agent_runs"), await database.count("messages")) == (1, 1)


async def test_another_body_under_the_same_key_is_refused(database: Database, ask: Asking) -> None:
    await ask(ask.once())
    with pytest.raises(InvalidRequestError, match="another body"):
        await ask(ask.once(body=b"another"))
    assert await database.count("agent_runs") == 1


async def test_keys_of_other_accounts_are_other_keys(database: Database, ask: Asking) -> None:
    first = await ask(ask.once())
    stranger = Asking("a stranger", await database.new_thread("a stranger"))
    assert await stranger(stranger.once()) != first


async def test_what_failed_left_no_key_behind(database: Database, ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise SunaError("the queue is away")

    with monkeypatch.context() as patch:
        patch.setattr(record.queue, "send", away)
        with pytest.raises(SunaError, match="the queue is away"):
            await ask(ask.once())
    assert [await database.count(table) for table in ("agent_runs", "messages", "idempotency_keys")] == [0, 0, 0]
    assert UUID(await ask(ask.once()))


async def test_after_a_day_a_key_is_new(database: Database, ask: Asking) -> None:
    first = await ask(ask.once())
    await database.connection.execute("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
    assert await ask(ask.once(body=b"another")) != first
    assert await database.count("idempotency_keys") == 1


@pytest.mark.parametrize("fail", [True, False], ids=["rolled back", "committed"])
async def test_whoever_comes_second_waits_for_the_first(database: Database, ask: Asking, fail: bool) -> None:
    once, begun, go_on = ask.once(), asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with transaction() as connection:
            await once.begin(connection)
            begun.set()
            await go_on.wait()
            await idempotency.Once.keep(ask_with(once, lambda _: {"run_id": str(uuid4())}), connection, None)
            if fail:
                raise SunaError("failed")

    one = asyncio.create_task(first())
    await begun.wait()
    two = asyncio.create_task(ask(once))
    go_on.set()
    await asyncio.gather(one, return_exceptions=True)
    assert UUID(await two)
    assert await database.count("agent_runs") == int(fail)


def ask_with(once: Once, answer: Callable[[object], dict[str, str]]) -> Once:
    return Once(account_id=once.account_id, route=once.route, key=once.key, body_hash=once.body_hash, answer=answer)
