"""What a deleted run has said is removed from its thread's log, and whoever reads that is told."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api import deletions
from functions.api.sender.main import _serve
from functions.api.watch import deleted_events as watched
from functions.api.watch.deleted_events import look_after_deleted_events, remove_deleted_events
from functions.api.watch.sweep import sweep_some
from shared import events
from shared.aws import queue
from shared.aws.queue import EventsMessage, ServeMessage, SweepMessage
from shared.database import facts
from shared.domain import Claim
from shared.errors import EventLogUnavailableError, FunctionsUnavailableError, QueueUnavailableError
from shared.runs.settle import Done, LookAgain
from shared.stream import log, log_hold, wake
from shared.stream.appender import Appender
from tests.integration.databases import Database
from tests.integration.gateway import Gateway
from tests.integration.queues import Queues
from tests.integration.test_publicity import OWNER, _claimed, _ended
from tests.integration.waiting import until
from tests.integration.watchers import watching

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")


async def _said(claim: Claim, text: str, *, count: int = 3) -> int:
    """The run says this, and then how the thread stands; returns the last number."""
    after = await log.last_seq(claim) or 0
    told = [events.custom(claim.agent_run_id, text, {}) for _ in range(count)]
    told.append(events.values(claim.thread_id, [{"content": text}]))
    numbered = [
        events.number(event, generation=claim.generation, seq=claim.last_seq + place)
        for place, event in enumerate(told, start=1)
    ]
    assert (await log.append(claim, numbered, expected_seq=after, proved=True)).answer == "ok"
    return numbered[-1].seq


async def _ran(database: Database, thread_id: UUID, text: str) -> Claim:
    """A run that says this, and ends."""
    claim = await _claimed(database, thread_id)
    await _ended(claim, last_seq=await _said(claim, text))
    return claim


async def _delete(claim: Claim) -> EventsMessage:
    """As the route does; the message that the watch gets."""
    run_id = claim.agent_run_id
    await deletions.delete_run(agent_run_id=run_id, thread_id=claim.thread_id, account_id=OWNER)
    return EventsMessage(agent_run_id=run_id, account_id=OWNER)


def _gaps(frames: list[dict[str, Any]]) -> list[dict[str, int]]:
    told = [frame["params"]["data"] for frame in frames]
    return [data["payload"] for data in told if data.get("name") == "gap"]


async def test_its_events_are_removed_and_who_reads_is_told(database: Database, posts: Gateway, queues: Queues) -> None:
    thread_id = await database.new_thread(OWNER)
    first, second = [await _ran(database, thread_id, text) for text in ("to be deleted", "kept")]
    # GIVEN somebody who has seen everything
    present = await watching(thread_id, account_id=OWNER, since=10)
    message = await _delete(first)
    assert await queues.delayed("watch") > 0
    assert await look_after_deleted_events(message, age_s=0) == Done()
    left = await log.read(second, after_seq=0, limit=100)
    assert "to be deleted" not in str(left)
    assert [entry.seq for entry in left][:5] == [6, 7, 8, 9, 10]
    # THEN whoever reads from the beginning gets the other run, and is told, as is who was there
    later = await watching(thread_id, account_id=OWNER)
    await _serve(thread_id, account_id=OWNER, limit_s=10, function="the-sender")
    assert "to be deleted" not in str(posts.sent[later])
    assert "kept" in str(posts.sent[later])
    for connection_id in (present, later):
        assert {"from": 1, "to": 5} in _gaps(posts.sent[connection_id])
        assert posts.sent[connection_id][-1]["method"] == "values"
    assert await database.count("deleted_events") == 0
    # Once more is as good as once.
    assert await look_after_deleted_events(message, age_s=100) == Done()


async def test_that_a_run_was_deleted_is_told_also_if_nobody_can_be_woken(
    database: Database, posts: Gateway, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    del posts
    thread_id = await database.new_thread(OWNER)
    message = await _delete(await _ran(database, thread_id, "to be deleted"))

    async def away(*_: Any) -> None:
        raise FunctionsUnavailableError

    monkeypatch.setattr(wake, "_invoke", away)
    monkeypatch.setattr(wake, "_WATCHED_AFTER_S", 0)
    assert await look_after_deleted_events(message, age_s=0) == Done()
    bodies: list[str] = []

    async def sent() -> bool:
        bodies.extend(record["body"] for record in await queues.records("watch"))
        return any(body.startswith('{"serve_thread"') for body in bodies)

    await until(sent)
    found = [served for body in bodies if (served := ServeMessage.parse(body)) is not None]
    assert [(one.thread_id, one.account_id) for one in found] == [(thread_id, OWNER)]


async def test_what_was_told_meanwhile_of_other_runs_stays(database: Database, posts: Gateway) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _claimed(database, thread_id)
    waiting = events.custom(uuid4(), "of the next run", {})
    lost = events.gap(first=1, last=2)
    for seq, event in ((3, waiting), (4, lost)):
        logged = events.number(event, generation=claim.generation, seq=seq)
        assert (await log.append(claim, [logged], expected_seq=0 if seq == 3 else 3, proved=True)).answer == "ok"
    await _ended(claim, last_seq=4)
    assert await look_after_deleted_events(await _delete(claim), age_s=0) == Done()
    left = await log.read(claim, after_seq=0, limit=100)
    assert [entry.seq for entry in left][:2] == [3, 4]
    assert str(claim.agent_run_id) not in str(left)


async def test_its_events_go_when_the_next_runs_holder_has_told_so(database: Database, posts: Gateway) -> None:
    thread_id = await database.new_thread(OWNER)
    first = await _ran(database, thread_id, "to be deleted")
    second = await _claimed(database, thread_id)
    message = await _delete(first)
    assert isinstance(await look_after_deleted_events(message, age_s=0), LookAgain)
    writer = Appender(second, reserve=log_hold.reserve, prove=log_hold.is_newest)
    await writer.take_facts()
    told = await writer.append([])
    await writer.note_logged()
    # Who has the beginning of a message is told at the end how the thread stands.
    assert await writer.state_after_gap() is not None
    assert [(entry.seq, entry.channel) for entry in told] == [(6, events.TO_ALL), (7, events.TO_ALL)]
    assert await look_after_deleted_events(message, age_s=0) == Done()
    assert "to be deleted" not in str(await log.read(second, after_seq=0, limit=100))


async def test_of_a_run_that_has_said_nothing_nothing_is_told(database: Database, posts: Gateway) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _claimed(database, thread_id)
    await database.set_run(claim.agent_run_id, status="'stopped'", ended_at="now()", lease_expires_at="NULL")
    await _delete(claim)
    assert await database.count("deleted_events") == 0
    assert not await facts.has_unlogged(thread_id=thread_id)


@pytest.mark.parametrize("at", ["drain", "remove_run", "remove"])
async def test_a_removal_that_dies_anywhere_is_carried_on(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    thread_id = await database.new_thread(OWNER)
    claim = await _ran(database, thread_id, "to be deleted")
    message = await _delete(claim)
    places = {"drain": watched, "remove_run": log, "remove": watched.deleted_events}

    async def dead(*_: Any, **__: Any) -> None:
        raise EventLogUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(places[at], at, dead)
        with pytest.raises(EventLogUnavailableError):
            await look_after_deleted_events(message, age_s=0)
    assert await look_after_deleted_events(message, age_s=0) == Done()
    assert "to be deleted" not in str(await log.read(claim, after_seq=0, limit=100))


async def test_no_run_is_deleted_whose_events_nobody_would_remove(
    database: Database, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = await _ran(database, await database.new_thread(OWNER), "kept")

    async def away(*_: Any, **__: Any) -> None:
        raise QueueUnavailableError

    monkeypatch.setattr(queue, "send", away)
    with pytest.raises(QueueUnavailableError):
        await _delete(claim)
    assert (await database.run(claim.agent_run_id))["status"] == "completed"
    assert not await facts.has_unlogged(thread_id=claim.thread_id)


@pytest.mark.parametrize(("age_s", "answer"), [(0, LookAgain), (100, Done)])
async def test_a_deletion_that_is_not_committed_yet_is_waited_for(
    database: Database, age_s: float, answer: type[Done | LookAgain]
) -> None:
    message = EventsMessage(agent_run_id=uuid4(), account_id=OWNER)
    assert isinstance(await look_after_deleted_events(message, age_s=age_s), answer)


async def test_events_whose_message_was_lost_are_swept(database: Database) -> None:
    thread_id = await database.new_thread(OWNER)
    lost, recent = [await _ran(database, thread_id, text) for text in ("lost", "recent")]
    for claim in (lost, recent):
        await _delete(claim)
    await database.connection.execute(
        "UPDATE deleted_events SET deleted_at = now() - interval '2 hours' WHERE agent_run_id = $1", lost.agent_run_id
    )
    await sweep_some(SweepMessage(next_in_s=3600), age_s=0, round_s=20)
    left = str(await log.read(recent, after_seq=0, limit=100))
    assert ("lost" in left, "recent" in left) == (False, True)
    # The other one's message is on its way.
    assert await database.count("deleted_events") == 1


async def test_what_cannot_be_swept_yet_is_left_to_the_next_sweep(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await database.new_thread(OWNER)
    await _delete(await _ran(database, thread_id, "to be deleted"))
    await database.connection.execute("UPDATE deleted_events SET deleted_at = now() - interval '2 hours'")
    with monkeypatch.context() as patch:

        async def nothing(**_: object) -> None:
            """A holder of the log drains it itself, later."""

        patch.setattr(watched, "drain", nothing)
        assert await remove_deleted_events() == 0
    assert await remove_deleted_events() == 1
    assert await database.count("deleted_events") == 0
