"""The sender on a real Redis and a real DynamoDB API, posting over HTTP: one posts, in order, and the next goes on."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.sender.main import _serve
from functions.api.sender.serving import Replay
from shared.errors import SubscriptionsUnavailableError
from shared.stream import log, sender, sender_lease, subscriptions, tries, wake
from shared.stream.audience import dismissed
from shared.stream.delivery import Delivery
from shared.stream.redis_client import redis
from shared.stream.sender import Sender
from tests.integration import opened
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deployed import Deployed
from tests.integration.function_process import FunctionProcess
from tests.integration.gateway import Gateway, gateway
from tests.integration.waiting import until
from tests.integration.watchers import ACCOUNT, appended, audience, cursor_of, replay, watching
from tests.thread_logs import hold_of, log_named

pytestmark = pytest.mark.usefixtures("subscriptions_table", "in_no_table")


@pytest.fixture(scope="module")
async def running_gateway() -> AsyncIterator[Gateway]:
    async with gateway() as found:
        yield found


@pytest.fixture
def posts(running_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """Where posts go."""
    monkeypatch.setenv("CONNECTIONS_URL", running_gateway.url)
    opened.forget_settings()
    running_gateway.most_at_once = 0
    running_gateway.closes_at = None
    running_gateway.open.set()
    return running_gateway


@pytest.fixture
def thread_id() -> UUID:
    return uuid4()


async def test_a_replay_posts_the_log_as_it_is_and_leaves_its_cursor(posts: Gateway, thread_id: UUID) -> None:
    told = await appended(thread_id, 1, 450)
    connection_id = await watching(thread_id, since=3)
    assert await (await replay(thread_id)).run()
    assert posts.sent[connection_id] == [json.loads(one.frame) | {"prev_seq": one.seq - 1} for one in told[3:]]
    assert await cursor_of(thread_id, connection_id) == 450


async def test_of_two_senders_one_posts_and_the_other_finds_nothing_left(posts: Gateway, thread_id: UUID) -> None:
    await appended(thread_id, 1, 300)
    connection_id = await watching(thread_id)
    both = [await replay(thread_id), await replay(thread_id)]
    assert await asyncio.gather(*(one.run() for one in both)) == [True, True]
    assert posts.seqs(connection_id) == list(range(1, 301))
    assert posts.most_at_once == 1


async def test_the_executor_takes_over_from_a_replay_without_a_repeat(posts: Gateway, thread_id: UUID) -> None:
    # GIVEN a replay that is at it
    await appended(thread_id, 1, 300)
    connection_id = await watching(thread_id)
    replaying = asyncio.create_task((await replay(thread_id)).run())
    await until(lambda: posts.sent.get(connection_id))
    # WHEN a run begins, and says something
    delivery = Delivery(hold_of(log_named(thread_id), last_seq=300))
    delivery.start()
    await delivery.offer(await appended(thread_id, 301, 303))
    # THEN one of them posts each event
    assert await replaying
    assert await delivery.close(timeout_s=10)
    assert posts.seqs(connection_id) == list(range(1, 304))
    assert posts.most_at_once == 1


async def test_what_is_subscribed_after_the_last_look_is_left_to_a_replay_from_the_start(
    posts: Gateway, thread_id: UUID
) -> None:
    delivery = Delivery(hold_of(log_named(thread_id)))
    delivery.start()
    await delivery.offer(await appended(thread_id, 1, 5))
    assert await delivery.close(timeout_s=10)
    connection_id = await watching(thread_id)
    assert await (await replay(thread_id)).run()
    assert posts.seqs(connection_id) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("who", ["the executor", "the sender function"])
async def test_a_subscriber_whose_lease_is_lost_is_left_to_the_next_sender(
    posts: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    # GIVEN a subscriber who is being posted to when the last of a run is said
    monkeypatch.setattr(sender, "SENDER_LEASE_S", 0.5)
    monkeypatch.setattr(sender, "_MARGIN_S", 0.1)
    thread_id = await database.new_thread(ACCOUNT)
    log = await database.log(thread_id)
    told = await appended(log, 1, 5)
    connection_id = await watching(thread_id)
    posts.open.clear()
    delivery = Delivery(hold_of(log))
    if who == "the executor":
        delivery.start()
        await delivery.offer(told)
        serving = asyncio.create_task(delivery.close(timeout_s=10))
        await until(lambda: delivery.closing)
    else:
        serving = asyncio.create_task(_serve(thread_id, account_id=ACCOUNT, limit_s=10, function="the-sender"))
    await until(lambda: posts.posting.get(connection_id))

    # WHEN its lease ends, which DynamoDB does not renew
    async def keep(*_: Any, **__: Any) -> bool:
        raise SubscriptionsUnavailableError

    monkeypatch.setattr(sender_lease, "keep", keep)
    called: list[UUID] = []

    async def wake_sender(
        *, thread_id: UUID, account_id: str, is_others: bool = False, function: str | None = None
    ) -> None:
        called.append(thread_id)

    monkeypatch.setattr(wake, "sender", wake_sender)
    ends_at = time.monotonic() + 0.6
    await until(lambda: time.monotonic() > ends_at)
    posts.open.set()
    # THEN whoever served it knows that it has not got everything
    served = await serving
    assert len(posts.seqs(connection_id)) < 5
    assert served is False if who == "the executor" else called == [thread_id]


async def test_events_that_come_while_a_replay_ends_are_posted_by_it_or_the_next(
    posts: Gateway, thread_id: UUID
) -> None:
    await appended(thread_id, 1, 20)
    connection_id = await watching(thread_id)
    replaying = asyncio.create_task((await replay(thread_id)).run())
    await until(lambda: posts.sent.get(connection_id))
    await appended(thread_id, 21, 40)
    next_one = asyncio.create_task((await replay(thread_id)).run())
    assert await asyncio.gather(replaying, next_one) == [True, True]
    assert posts.seqs(connection_id) == list(range(1, 41))


async def test_a_connection_that_is_gone_is_forgotten_with_everything(posts: Gateway, thread_id: UUID) -> None:
    await appended(thread_id, 1, 3)
    connection_id = await watching(thread_id)
    posts.gone.add(connection_id)
    assert await (await replay(thread_id)).run()
    assert await subscriptions.of_thread(thread_id, account_id=ACCOUNT) == []
    assert await subscriptions.get_connection(connection_id) is None


async def test_a_connection_is_closed_where_its_credential_ends_in_the_middle_of_a_replay(
    posts: Gateway, thread_id: UUID
) -> None:
    await appended(thread_id, 1, 3)
    ends_at = time.time() + 2.5
    connection_id = await watching(thread_id, ends_at=ends_at)
    posts.open.clear()
    replaying = asyncio.create_task((await replay(thread_id)).run())
    await until(lambda: posts.posting.get(connection_id))
    await until(lambda: time.time() > ends_at)
    posts.open.set()
    assert await replaying
    # What was on its way at the end, the first event or the announcement of the end, is the last.
    assert len(posts.seqs(connection_id)) == 1
    assert connection_id in posts.closed
    assert await subscriptions.of_thread(thread_id, account_id=ACCOUNT) == []


async def test_whoever_looks_for_subscribers_closes_connections_that_are_over(posts: Gateway, thread_id: UUID) -> None:
    over = [await watching(thread_id, ends_at=time.time() - 1) for _ in range(2)]
    alive = await watching(thread_id)
    posts.gone.add(over[1])  # ... and is no matter if somebody has done so
    assert [one.connection_id for one in await audience(log_named(thread_id), account_id=ACCOUNT)] == [alive]
    await dismissed(timeout_s=5)
    assert over[0] in posts.closed
    [left] = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    assert left.connection_id == alive


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_the_gateway_refuses_is_posted_again_and_nothing_is_left_out(
    posts: Gateway, thread_id: UUID, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "_BACKOFF_S", (0.01, 0.02))
    await appended(thread_id, 1, 5)
    connection_id = await watching(thread_id)
    posts.answers += [200, status, status, status, 200, status]
    assert await (await replay(thread_id)).run()
    assert posts.seqs(connection_id) == [1, 2, 3, 4, 5]
    assert posts.answers == []


@pytest.mark.parametrize("lost", ["the beginning", "everything"])
async def test_what_the_log_has_lost_is_declared_with_the_thread_as_the_database_has_it(
    posts: Gateway, database: Database, lost: str
) -> None:
    thread_id = await database.new_thread(ACCOUNT)
    where = await database.log(thread_id)
    await appended(where, 1, 30)
    connection_id = await watching(thread_id, since=4)
    if lost == "everything":
        await redis().delete(log._keys(where.generation)[0])
    else:
        await redis().xtrim(log._keys(where.generation)[0], minid="21-0", approximate=False)
    [found] = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    assert await Sender(found, Replay(where, newest_seq=30)).run()
    gap, values, *rest = posts.sent[connection_id]
    last = 30 if lost == "everything" else 20
    assert gap["params"]["data"] == {"name": "gap", "payload": {"from": 5, "to": last}}
    assert values["params"]["data"] == {"messages": []}
    assert [(frame["seq"], frame["prev_seq"]) for frame in rest] == [(seq, seq - 1) for seq in range(last + 1, 31)]
    # It is told once.
    [found] = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    assert await Sender(found, Replay(where, newest_seq=0)).run()
    assert len(posts.sent[connection_id]) == 2 + len(rest)


async def test_the_end_that_the_log_has_lost_is_declared_too(posts: Gateway, database: Database) -> None:
    thread_id = await database.new_thread(ACCOUNT)
    where = await database.log(thread_id)
    await appended(where, 1, 30)
    connection_id = await watching(thread_id, since=4)
    # GIVEN a failover that lost the log's last entries, and nobody who would append anything more
    await redis().xdel(log._keys(where.generation)[0], *(f"{seq}-0" for seq in range(21, 31)))
    [found] = await subscriptions.of_thread(thread_id, account_id=ACCOUNT)
    assert await Sender(found, Replay(where, newest_seq=30)).run()
    *rest, gap, values = posts.sent[connection_id]
    assert [frame["seq"] for frame in rest] == list(range(5, 21))
    assert gap["params"]["data"] == {"name": "gap", "payload": {"from": 21, "to": 30}}
    assert values["params"]["data"] == {"messages": []}
    assert await cursor_of(thread_id, connection_id) == 30


async def test_a_renewal_keeps_the_lease_beyond_its_time(
    posts: Gateway, thread_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a lease of two seconds, and a client that takes one event and then nothing
    for module in (sender_lease, sender):
        monkeypatch.setattr(module, "SENDER_LEASE_S", 2.0)
    for name, value in (("_KEEP_S", 0.05), ("_RENEW_LEFT_S", 1.8), ("_MARGIN_S", 0.1)):
        monkeypatch.setattr(sender, name, value)
    await appended(thread_id, 1, 3)
    connection_id = await watching(thread_id)
    posts.open.clear()
    holding = asyncio.create_task((await replay(thread_id)).run())
    await until(lambda: posts.posting.get(connection_id))
    # WHEN another sender asks for longer than the lease
    competing = asyncio.create_task((await replay(thread_id)).run())
    begun = time.monotonic()
    await until(lambda: time.monotonic() > begun + 3.5)
    assert posts.posting[connection_id] == 1
    posts.open.set()
    # THEN the first has posted everything
    assert await asyncio.gather(holding, competing) == [True, True]
    assert posts.seqs(connection_id) == [1, 2, 3]


def _send(function: FunctionProcess, thread_id: UUID) -> None:
    function.begin({"thread_id": str(thread_id), "account_id": ACCOUNT})


async def test_a_sender_that_is_killed_is_followed_by_one_that_goes_on_from_its_cursor(
    posts: Gateway, deployed: Deployed, start_function: StartFunction
) -> None:
    thread_id = await deployed.database.new_thread(ACCOUNT)
    told = await appended(await deployed.database.log(thread_id), 1, 600)
    connection_id = await watching(thread_id)
    killed, heir = (start_function("functions.api.sender.main.handler", CONNECTIONS_URL=posts.url) for _ in range(2))
    # GIVEN a sender that has written its cursor back, and has posted more
    posts.closes_at = 300
    _send(killed, thread_id)

    async def written_back() -> bool:
        return await cursor_of(thread_id, connection_id) == 300

    await until(written_back)
    posts.closes_at = 320
    posts.open.set()
    await until(lambda: len(posts.sent[connection_id]) == 320 and posts.posting[connection_id])
    # WHEN it dies in the middle of a post
    killed.kill()
    posts.open.set()
    await until(lambda: not posts.posting[connection_id])
    kept, before = await cursor_of(thread_id, connection_id), len(posts.sent[connection_id])
    assert before == 321
    # THEN the next one waits for the end of its lease, and goes on behind what was written back
    _send(heir, thread_id)
    await until(lambda: len(posts.sent[connection_id]) == before + len(told) - kept)
    assert heir.answer() is None
    assert posts.seqs(connection_id)[before:] == list(range(kept + 1, len(told) + 1))
    # ... and what it repeats is what it was.
    for frame in posts.sent[connection_id]:
        one = told[frame["seq"] - 1]
        assert {name: value for name, value in frame.items() if name != "prev_seq"} == json.loads(one.frame)
    assert posts.most_at_once == 1


async def test_a_replay_that_outlives_the_functions_time_is_handed_to_a_fresh_invocation(
    posts: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a client that takes nothing for longer than the function has
    woken: list[tuple[UUID, str | None]] = []

    async def wake_sender(
        *, thread_id: UUID, account_id: str, is_others: bool = False, function: str | None = None
    ) -> None:
        assert account_id == ACCOUNT
        woken.append((thread_id, function))

    monkeypatch.setattr(wake, "sender", wake_sender)
    thread_id = await database.new_thread(ACCOUNT)
    await appended(await database.log(thread_id), 1, 20)
    connection_id = await watching(thread_id)
    posts.open.clear()
    await _serve(thread_id, account_id=ACCOUNT, limit_s=1.5, function="the-sender")
    # THEN it invokes itself, and has given its lease back
    assert woken == [(thread_id, "the-sender")]
    posts.open.set()
    await until(lambda: not posts.posting[connection_id])
    repeated = len(posts.seqs(connection_id))
    await _serve(thread_id, account_id=ACCOUNT, limit_s=30, function="the-sender")
    # What was on its way when the time was over may come again, and nothing else.
    assert repeated <= 1
    assert posts.seqs(connection_id)[repeated:] == list(range(1, 21))
    assert len(woken) == 1


@pytest.mark.parametrize("status", [400, 403, 413])
async def test_a_connection_that_cannot_be_posted_to_is_forgotten_and_closed_at_once(
    posts: Gateway, thread_id: UUID, status: int
) -> None:
    await appended(thread_id, 1, 5)
    connection_id = await watching(thread_id)
    posts.answers += [200, status]
    assert await (await replay(thread_id)).run()
    assert (posts.answers, posts.seqs(connection_id), connection_id in posts.closed) == ([], [1], True)
    assert await subscriptions.of_thread(thread_id, account_id=ACCOUNT) == []
    assert await subscriptions.get_connection(connection_id) is None


@pytest.mark.parametrize("whose", ["another account's", "nobody's"])
async def test_what_the_log_has_is_read_for_nobody_but_the_threads_account(
    posts: Gateway, database: Database, whose: str
) -> None:
    # GIVEN the events of a thread that is another account's, or was somebody's and is deleted, and who watches its id
    thread_id = uuid4() if whose == "nobody's" else await database.new_thread("the owner")
    await appended(thread_id if whose == "nobody's" else await database.log(thread_id), 1, 3)
    connection_id = await watching(thread_id, account_id="a stranger")
    await _serve(thread_id, account_id="a stranger", limit_s=5, function="the-sender")
    assert connection_id not in posts.sent


async def test_the_sender_leaves_a_thread_to_the_executor_of_its_run(posts: Gateway, database: Database) -> None:
    thread_id = await database.new_thread(ACCOUNT)
    run_id = await database.new_run(thread_id, status="'running'", lease_expires_at="now() + interval '1 hour'")
    await appended(await database.log(thread_id), 1, 3)
    connection_id = await watching(thread_id)
    await _serve(thread_id, account_id=ACCOUNT, limit_s=5, function="the-sender")
    assert connection_id not in posts.sent
    # When its lease has ended, nobody else serves them.
    await database.expire_lease(run_id)
    await _serve(thread_id, account_id=ACCOUNT, limit_s=5, function="the-sender")
    assert posts.seqs(connection_id) == [1, 2, 3]
