"""Facts that have a number and are not in the log, while somebody watches: nobody passes over them."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from shared import events
from shared.aws.queue import RunMessage
from shared.database import facts
from shared.domain import Claim
from shared.errors import DatabaseUnavailableError, EventLogUnavailableError
from shared.runs import transitions
from shared.runs.settle import Done, drain
from shared.stream import appender as appending
from shared.stream import log
from shared.stream.redis_client import redis
from shared.stream.session import executing
from tests.integration.waiting import until
from tests.integration.watch_records import look_after
from tests.integration.watched_thread import WatchedThread, appender, says

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")

# More than a reader is given at once of what a thread's newest facts are.
MANY = 30


@pytest.fixture
def thread(watched_thread: WatchedThread) -> WatchedThread:
    return watched_thread


async def _ended_and_died(thread: WatchedThread, *, facts_before: int = 0) -> tuple[Claim, list[int]]:
    """A run whose executor has died between its end's commit and the append; the numbers that are owed."""
    claim = await thread.claimed()
    writer = appender(claim)
    await says(writer, 4)
    before = [events.custom(claim.agent_run_id, "asked", {}) for _ in range(facts_before)]
    told = (
        await transitions.finish(claim, status="completed", error=None, last_seq=writer.last_seq, before=before)
    ).told
    return claim, [fact.logged.seq for fact in told]


async def _watch(thread: WatchedThread, claim: Claim) -> None:
    message = RunMessage(agent_run_id=claim.agent_run_id, thread_id=thread.thread_id, account_id=thread.account_id)
    assert await look_after(message, age_s=20) == Done()


@pytest.mark.parametrize("facts_before", [0, MANY])
async def test_who_subscribes_between_a_runs_end_and_its_append_gets_what_the_watch_appends(
    thread: WatchedThread, facts_before: int
) -> None:
    early = await thread.watched()
    claim, owed = await _ended_and_died(thread, facts_before=facts_before)
    late = [await thread.watched(), await thread.watched(since=4)]
    await thread.serve()
    assert await thread.in_the_log() == [1, 2, 3, 4]
    await _watch(thread, claim)
    await thread.serve_as_woken()
    assert await thread.in_the_log() == [1, 2, 3, 4, *owed]
    # Nobody was told of a gap: there is none.
    assert [thread.seen(one) for one in (early, *late)] == [[*range(1, 5), *owed], [*range(1, 5), *owed], owed]
    assert [thread.declared(one) for one in (early, *late)] == [set(), set(), set()]
    await thread.check()


@pytest.mark.parametrize("away_at_first", ["nobody", "Redis", "PostgreSQL"])
async def test_the_next_runs_executor_tells_the_end_that_the_one_before_has_not(
    thread: WatchedThread, away_at_first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = await thread.watched()
    _, owed = await _ended_and_died(thread)
    await thread.watched(since=3)
    claim = await thread.claimed()
    if away_at_first == "Redis":
        _away_once(monkeypatch)
    if away_at_first == "PostgreSQL":
        _no_facts_once(monkeypatch)
    async with executing(claim, run_id=claim.agent_run_id, on_lost=lambda: None) as (publisher, _):
        await publisher.publish(events.lifecycle(claim.agent_run_id, "running"))
        await publisher.drain()
        await until(lambda: owed[-1] + 1 in thread.seen(early))
        await publisher.publish(events.custom(claim.agent_run_id, "said", {}))
        async with publisher.closing() as last_seq:
            told = (await transitions.finish(claim, status="completed", error=None, last_seq=last_seq)).told
            await publisher.end(told)
    assert set(owed) <= set(thread.seen(early))
    if away_at_first != "Redis":
        assert (await thread.in_the_log())[: owed[-1]] == [1, 2, 3, 4, *owed]
        assert thread.data(early, "gap") == []
    await thread.check()


def _no_facts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL does not say which facts wait, the next time that it is asked."""
    take, failures = facts.take, [DatabaseUnavailableError()]

    async def failing(*args: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return await take(*args, **options)

    monkeypatch.setattr(facts, "take", failing)


def _away_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis does not take the next append."""
    append, failures = log.append, [EventLogUnavailableError()]

    async def failing(*args: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return await append(*args, **options)

    monkeypatch.setattr(log, "append", failing)
    monkeypatch.setattr(appending, "_AWAY_S", 0.0)


@pytest.mark.parametrize("lost", ["everything", "its end"])
async def test_what_redis_loses_after_a_clean_end_is_declared_to_who_comes_later(
    thread: WatchedThread, lost: str
) -> None:
    claim, owed = await _ended_and_died(thread)
    await _watch(thread, claim)
    key = log._keys(thread.log.generation)[0]
    if lost == "everything":
        await redis().delete(*log._keys(thread.log.generation))
    else:
        await redis().xdel(key, *(f"{seq}-0" for seq in (3, 4, 5)))
    late = [await thread.watched(since=since) for since in (0, 2, 4)]
    for _ in range(2):
        await thread.serve()
    kept = [] if lost == "everything" else [1, 2]
    # The run's end, which the database has, and how the thread stands in place of what was said before it.
    assert [thread.seen(one) for one in late] == [[*kept, *owed], owed, owed]
    assert [sorted(thread.declared(one)) for one in late] == [[1, 2, 3, 4] if not kept else [3, 4], [3, 4], []]


async def test_facts_that_a_dead_holder_has_numbered_are_told_by_who_comes_next(thread: WatchedThread) -> None:
    """And the sender function that looks in between, when two holders have died, passes over none of them."""
    early = await thread.watched()
    claim = await thread.claimed()
    writer = appender(claim)
    await says(writer, 4)
    # GIVEN facts among numbers that were given to what was said, and never appended
    for count in (2, 3):
        await thread.add_facts(claim.agent_run_id, count)
        await writer.reserve(2)
        writer.number(events.custom(uuid4(), "lost", {}))
        await writer.take_facts()
    owed = await thread.facts_()
    assert owed == [6, 7, 9, 10, 11]
    await thread.database.expire_lease(claim.agent_run_id)
    await thread.serve()
    assert thread.seen(early) == [1, 2, 3, 4]
    # AND one more executor, which dies before it has said anything
    claim = await thread.claimed(claim.agent_run_id)
    await thread.database.expire_lease(claim.agent_run_id)
    late = await thread.watched(since=2)
    await thread.serve()
    # WHEN the third one ends the run THEN everybody has each fact once
    claim = await thread.claimed(claim.agent_run_id)
    async with executing(claim, run_id=claim.agent_run_id, on_lost=lambda: None) as (publisher, _):
        await publisher.publish(events.lifecycle(claim.agent_run_id, "running"))
        async with publisher.closing() as last_seq:
            told = (await transitions.finish(claim, status="completed", error=None, last_seq=last_seq)).told
            await publisher.end(told)
    assert set(owed) <= set(thread.seen(late))
    await thread.check()


async def test_what_a_drain_has_numbered_when_a_claim_fences_it_is_told_by_the_claims_run(
    thread: WatchedThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    await thread.watched()
    claim, owed = await _ended_and_died(thread)
    await thread.add_facts(claim.agent_run_id, 2)
    following = await thread.database.new_run(thread.thread_id)
    take, claims = facts.take, list[Claim]()

    async def claimed_after_taking(*args: Any, **options: Any) -> Sequence[facts.Fact]:
        taken = await take(*args, **options)
        if not claims:
            claims.append(await thread.claimed(following))
        return taken

    monkeypatch.setattr(facts, "take", claimed_after_taking)
    await drain(thread_id=thread.thread_id, account_id=thread.account_id)
    assert await thread.in_the_log() == [1, 2, 3, 4]
    # Whoever is woken by it leaves the thread to the executor.
    await thread.serve_as_woken()
    assert thread.woken == 1
    [held] = claims
    late = await thread.watched(since=4)
    async with executing(held, run_id=held.agent_run_id, on_lost=lambda: None) as (publisher, _):
        await publisher.publish(events.lifecycle(held.agent_run_id, "running"))
        async with publisher.closing() as last_seq:
            told = (await transitions.finish(held, status="completed", error=None, last_seq=last_seq)).told
            await publisher.end(told)
    assert {*owed, owed[-1] + 1, owed[-1] + 2} <= set(thread.seen(late))
    await thread.check()


async def test_a_sender_that_the_watch_wakes_is_there_before_or_after_the_drain_and_tells_all(
    thread: WatchedThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = await thread.watched()
    claim, owed = await _ended_and_died(thread, facts_before=MANY)
    thread.serve_when_woken = True
    looked: list[list[int]] = []
    append = log.append

    async def served_before(*args: Any, **options: Any) -> Any:
        await thread.serve()
        looked.append(thread.seen(early))
        return await append(*args, **options)

    monkeypatch.setattr(log, "append", served_before)
    await _watch(thread, claim)
    assert looked
    assert thread.seen(early) == [*range(1, 5), *owed]
    assert thread.declared(early) == set()
    # Once by the drain, and once by the watch: who has nothing to tell wakes nobody.
    assert 1 <= thread.woken <= 2
    await thread.check()


async def test_who_is_fed_by_the_executor_gets_declarations_whose_reply_was_lost(
    thread: WatchedThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the log, between two events that are at hand."""
    early = await thread.watched()
    claim = await thread.claimed()
    append, calls = log.append, list[int]()

    async def away_then_unheard(*args: Any, **options: Any) -> Any:
        calls.append(len(args[1]))
        if len(calls) == 2:
            raise EventLogUnavailableError
        answer = await append(*args, **options)
        if len(calls) == 3:
            raise EventLogUnavailableError
        return answer

    monkeypatch.setattr(appending, "_AWAY_S", 0.0)
    async with executing(claim, run_id=claim.agent_run_id, on_lost=lambda: None) as (publisher, _):
        await publisher.publish(events.lifecycle(claim.agent_run_id, "running"))
        await until(lambda: thread.seen(early) == [1])
        await publisher.drain()
        monkeypatch.setattr(log, "append", away_then_unheard)
        calls.append(0)
        for _ in range(3):
            await publisher.publish(events.custom(claim.agent_run_id, "said", {}))
            await publisher.drain()
        async with publisher.closing() as last_seq:
            told = (await transitions.finish(claim, status="completed", error=None, last_seq=last_seq)).told
            await publisher.end(told)
    # An event alone; with its gap, unheard of; with a gap that proves to be needless; alone.
    assert calls[:5] == [0, 1, 3, 3, 1]
    assert set(await thread.in_the_log()) <= set(thread.seen(early))
    await thread.check()
