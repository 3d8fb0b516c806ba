"""Who is connected hears of a run's end, whoever could not be woken for it, or has failed to post it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.commands import Caller, execute
from functions.api.sender.main import _serve
from functions.api.watch import main as watch_main
from shared.aws import queue
from shared.aws.queue import RunMessage
from shared.domain import Claim, Json
from shared.errors import FunctionsUnavailableError, QueueUnavailableError, SubscriptionsUnavailableError
from shared.runs import transitions
from shared.runs.settle import Done, LookAgain, settle
from shared.runs.stopping import request_stop
from shared.stream import sender_lease, subscriptions, unserved, wake
from shared.stream.session import executing
from shared.stream.wake import sender as wake_sender
from tests.integration.gateway import Gateway
from tests.integration.queues import Queues
from tests.integration.waiting import until
from tests.integration.watch_records import look_after
from tests.integration.watched_thread import CHANNELS, WatchedThread

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")


class Lambda:
    """Lambda, and the sender function in it. ``invoked``: what it was asked for."""

    def __init__(self, thread: WatchedThread) -> None:
        self.thread = thread
        self.away = False
        self.invoked: list[Json] = []

    async def invoke(self, payload: Json, function: str | None = None) -> None:
        """As ``wake._invoke``: accepted, and done later."""
        del function
        if self.away:
            raise FunctionsUnavailableError
        self.invoked.append(payload)

    async def does(self, *, attempts: int = 1) -> list[Exception]:
        """What was asked for is done, or tried so often; with which errors."""
        errors: list[Exception] = []
        while self.invoked:
            asked = self.invoked.pop(0)
            for _ in range(attempts):
                try:
                    await _serve(
                        UUID(asked["thread_id"]),
                        account_id=asked["account_id"],
                        is_others=asked["is_others"],
                        limit_s=20,
                        function="the-sender",
                    )
                    break
                except Exception as error:
                    errors.append(error)
        return errors


@pytest.fixture
async def thread(watched_thread: WatchedThread) -> WatchedThread:
    return watched_thread


@pytest.fixture
async def functions(thread: WatchedThread, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lambda]:
    found = Lambda(thread)
    monkeypatch.setattr(wake, "sender", wake_sender)
    monkeypatch.setattr(wake, "_invoke", found.invoke)
    yield found


def _message(thread: WatchedThread, claim: Claim) -> RunMessage:
    return RunMessage(
        agent_run_id=claim.agent_run_id, thread_id=thread.thread_id, account_id=thread.account_id, request_id="request"
    )


async def _ended(thread: WatchedThread, *, delivery_s: float = 5.0) -> Claim:
    """A run that its executor ends and settles, with so long for its subscribers."""
    held = await thread.claimed()
    execution = executing(held, run_id=held.agent_run_id, on_lost=lambda: None, delivery_s=lambda: delivery_s)
    async with execution as (publisher, _), publisher.closing() as last_seq:
        told = (await transitions.finish(held, status="completed", error=None, last_seq=last_seq)).told
        await publisher.end(told)
    assert await settle(agent_run_id=held.agent_run_id, thread_id=held.thread_id, account_id=held.account_id)
    return held


async def test_an_end_that_nobody_could_be_woken_for_is_told_when_lambda_is_back(
    thread: WatchedThread, functions: Lambda, posts: Gateway
) -> None:
    # GIVEN a client that takes nothing at the end of a run, which is settled, and Lambda, which is away then
    client = await thread.watched()
    posts.answers[:] = [429] * 1000
    functions.away = True
    run = await _ended(thread, delivery_s=0.1)
    posts.answers.clear()
    assert (await thread.database.run(run.agent_run_id))["settled_at"] is not None
    # WHEN the watch looks THEN it comes back, with longer and longer times between
    looks = [await look_after(_message(thread, run), age_s=age_s) for age_s in (20, 40)]
    assert [isinstance(look, LookAgain) for look in looks] == [True, True]
    # AND wakes a sender as soon as one can be woken; the client has the end, and the watch is over
    functions.away = False
    assert isinstance(await look_after(_message(thread, run), age_s=80), LookAgain)
    assert await functions.does() == []
    assert thread.seen(client) == await thread.in_the_log()
    assert await look_after(_message(thread, run), age_s=120) == Done()
    assert functions.invoked == []


async def test_an_end_that_every_attempt_of_the_sender_fails_to_post_is_told_when_dynamodb_is_back(
    thread: WatchedThread, functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an end that nobody has been told, since DynamoDB was away for its executor, and for Lambda's three attempts
    client = await thread.watched()
    with monkeypatch.context() as away:

        async def refuse(*_: Any, **__: Any) -> Any:
            raise SubscriptionsUnavailableError

        away.setattr(subscriptions, "_among", refuse)
        run = await _ended(thread)
        assert len(await functions.does(attempts=3)) == 3
        # WHEN the watch cannot see who lacks it THEN it comes back
        assert isinstance(await look_after(_message(thread, run), age_s=20), LookAgain)
        assert (thread.seen(client), functions.invoked) == ([], [])
    # AND has it told when it can
    assert isinstance(await look_after(_message(thread, run), age_s=60), LookAgain)
    assert await functions.does() == []
    assert thread.seen(client) == await thread.in_the_log()
    assert await look_after(_message(thread, run), age_s=120) == Done()


async def test_who_settles_a_dead_executors_run_comes_back_until_its_end_was_heard(
    thread: WatchedThread, functions: Lambda
) -> None:
    # GIVEN an executor that died with the commit of its run's end, and Lambda, which is away when the watch settles it
    client = await thread.watched()
    run = await thread.claimed()
    await transitions.finish(run, status="completed", error=None, last_seq=run.last_seq)
    functions.away = True
    assert isinstance(await look_after(_message(thread, run), age_s=20), LookAgain)
    assert (await thread.database.run(run.agent_run_id))["settled_at"] is not None
    # WHEN it is back THEN the next look has the client told
    functions.away = False
    assert isinstance(await look_after(_message(thread, run), age_s=60), LookAgain)
    await functions.does()
    assert thread.seen(client) == await thread.in_the_log()
    assert await look_after(_message(thread, run), age_s=120) == Done()


async def test_the_watch_of_a_thread_that_nobody_watches_is_over_with_one_look(
    thread: WatchedThread, functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    among = subscriptions._among

    async def counted(audience: str, **options: Any) -> Any:
        asked.append(audience)
        return await among(audience, **options)

    run = await _ended(thread)
    monkeypatch.setattr(subscriptions, "_among", counted)
    assert await look_after(_message(thread, run), age_s=20) == Done()
    assert (len(asked), functions.invoked) == (1, [])


async def test_a_silent_dynamodb_does_not_take_the_time_of_what_else_is_watched(
    thread: WatchedThread, functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    del functions
    run = await _ended(thread)

    async def silent(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(unserved, "_LOOK_S", 0.05)
    monkeypatch.setattr(subscriptions, "_among", silent)
    async with asyncio.timeout(60):
        assert isinstance(await look_after(_message(thread, run), age_s=20), LookAgain)


async def _served(thread: WatchedThread) -> bool:
    return await unserved.all_served(thread_id=thread.thread_id, account_id=thread.account_id)


async def test_who_is_posted_to_is_waited_for_and_nobody_woken_beside(
    thread: WatchedThread, functions: Lambda, posts: Gateway
) -> None:
    client = await thread.watched()
    posts.answers[:] = [429] * 1000
    await _ended(thread, delivery_s=0.1)
    functions.invoked.clear()
    [watching] = await subscriptions.of_account(thread.thread_id, account_id=thread.account_id)
    assert await sender_lease.claim(watching, sender="slow", generation=thread.log.generation) is not None
    assert (await _served(thread), functions.invoked) == (False, [])
    # WHEN its lease has ended THEN another one goes on
    assert await sender_lease.release(watching, sender="slow", cursor=0)
    posts.answers.clear()
    assert (await _served(thread), len(functions.invoked)) == (False, 1)
    await functions.does()
    assert (thread.seen(client), await _served(thread)) == (await thread.in_the_log(), True)


async def _over(thread: WatchedThread, monkeypatch: pytest.MonkeyPatch) -> None:
    [watching] = await subscriptions.of_account(thread.thread_id, account_id=thread.account_id)
    monkeypatch.setattr(time, "time", lambda: float(watching.expires_at))


async def _made_again(thread: WatchedThread, _: pytest.MonkeyPatch) -> None:
    await thread.database.connection.execute(
        "UPDATE threads SET generation = $2 WHERE thread_id = $1", thread.thread_id, uuid4()
    )


async def _held(thread: WatchedThread, _: pytest.MonkeyPatch) -> None:
    await thread.claimed()


async def _gone(thread: WatchedThread, _: pytest.MonkeyPatch) -> None:
    await thread.database.connection.execute("DELETE FROM threads WHERE thread_id = $1", thread.thread_id)


@pytest.mark.parametrize("became", [_over, _made_again, _held, _gone])
async def test_nobody_is_woken_for_who_is_not_to_be_served(
    thread: WatchedThread, functions: Lambda, posts: Gateway, monkeypatch: pytest.MonkeyPatch, became: Any
) -> None:
    await thread.watched()
    posts.answers[:] = [429] * 1000
    await _ended(thread, delivery_s=0.1)
    functions.invoked.clear()
    posts.answers.clear()
    await became(thread, monkeypatch)
    assert (await _served(thread), functions.invoked) == (True, [])


async def _subscribed(thread: WatchedThread) -> tuple[str, Json]:
    """Somebody connects, and asks for all that there is: his connection, and the answer."""
    record = await thread.connected()
    caller = Caller(account_id=thread.account_id, thread_id=thread.thread_id, connection=record)
    params = {"channels": sorted(CHANNELS), "since": 0}
    body = json.dumps({"id": 1, "method": "subscription.subscribe", "params": params})
    return record.connection_id, await execute(body, caller)


async def _watched(queues: Queues) -> list[Json]:
    """The watch messages that were sent, as they come to the watch function."""
    found: list[Json] = []

    async def some() -> bool:
        found.extend(await queues.records("watch"))
        return bool(found)

    await until(some)
    return found


async def _looked(records: list[Json]) -> bool:
    """The watch function, with these messages: whether it is over."""
    return (await watch_main._handle(records))["batchItemFailures"] == []


async def test_who_subscribes_while_nobody_can_be_woken_gets_what_there_is_when_somebody_can(
    thread: WatchedThread, functions: Lambda, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a run that has ended, and Lambda, which is away
    await _ended(thread)
    functions.away = True
    monkeypatch.setattr(wake, "_WATCHED_AFTER_S", 0)
    client, answer = await _subscribed(thread)
    assert answer["type"] == "success"
    # WHEN it is back THEN the watch that came with the subscription has a sender woken, and goes when that has posted
    records = await _watched(queues)
    assert not await _looked(records)
    functions.away = False
    assert not await _looked(records)
    assert await functions.does() == []
    assert thread.seen(client) == await thread.in_the_log()
    assert await _looked(records)
    assert functions.invoked == []


async def test_who_subscribes_where_nobody_would_come_is_told_to_try_again(
    thread: WatchedThread, functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _ended(thread)

    async def away(*_: Any, **__: Any) -> None:
        raise QueueUnavailableError

    monkeypatch.setattr(queue, "send", away)
    _, answer = await _subscribed(thread)
    assert (answer["type"], "try again shortly" in answer["message"]) == ("error", True)


async def test_a_run_that_is_stopped_long_before_it_is_due_has_its_end_watched_at_once(
    thread: WatchedThread, functions: Lambda, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await thread.watched()
    run_id = await thread.database.new_run(thread.thread_id, not_before="clock_timestamp() + interval '10 hours'")
    functions.away = True
    monkeypatch.setattr(wake, "_WATCHED_AFTER_S", 0)
    await request_stop(agent_run_id=run_id, account_id=thread.account_id)
    functions.away = False
    records = await _watched(queues)
    assert not await _looked(records)
    await functions.does()
    assert thread.seen(client) == await thread.in_the_log() != []
    assert await _looked(records)
