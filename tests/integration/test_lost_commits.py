"""The reply to a COMMIT is lost, and what was committed is not: whoever goes on looks before he numbers anything."""

from typing import Any, Literal

import pytest

from shared import events
from shared.database import facts, transaction
from shared.errors import DatabaseUnavailableError, OutcomeUnknownError
from shared.runs import transitions
from shared.runs.settle import drain
from shared.stream.session import executing
from tests.cable import Cable
from tests.integration.databases import Database
from tests.integration.watched_thread import WatchedThread

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")


async def test_who_loses_the_reply_is_told_that_the_outcome_is_unknown(
    database: Database, cable: Cable, account_id: str
) -> None:
    thread_id = await database.new_thread(account_id)

    async def is_public() -> bool:
        return (await database.thread(thread_id))["is_public"]

    cable.commits_lost = 1
    with pytest.raises(OutcomeUnknownError):
        async with transaction() as taken:
            await taken.execute("UPDATE threads SET is_public = true WHERE thread_id = $1", thread_id)
    assert await is_public()
    # What goes wrong before is known not to be done.
    with pytest.raises(DatabaseUnavailableError) as raised:
        async with transaction() as taken:
            await taken.execute("UPDATE threads SET is_public = false WHERE thread_id = $1", thread_id)
            await database.disconnect_all()
            await taken.fetchval("SELECT 1")
    assert not isinstance(raised.value, OutcomeUnknownError)
    assert await is_public()


def _losing(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The next time that facts get numbers nobody hears of it; how many were to be numbered, each time."""
    take, asked = facts.take, list[int]()

    async def lost_once(*args: Any, **options: Any) -> Any:
        cable.commits_lost = int(not asked)
        asked.append(options["most"])
        return await take(*args, **options)

    monkeypatch.setattr(facts, "take", lost_once)
    return asked


@pytest.mark.parametrize("then", ["goes on", "ends", "hands over"])
async def test_no_event_gets_the_number_of_a_fact_whose_commit_was_not_heard_of(
    watched_thread: WatchedThread,
    cable: Cable,
    monkeypatch: pytest.MonkeyPatch,
    then: Literal["goes on", "ends", "hands over"],
) -> None:
    thread = watched_thread
    watching = await thread.watched()
    claim = await thread.claimed()
    async with executing(claim, run_id=claim.agent_run_id, on_lost=lambda: None) as (publisher, _):
        await publisher.publish(events.lifecycle(claim.agent_run_id, "running"))
        await publisher.drain()
        await thread.add_facts(claim.agent_run_id, 2)
        asked = _losing(cable, monkeypatch)
        await publisher.facts()
        if then == "goes on":
            await publisher.publish(events.custom(claim.agent_run_id, "said", {}))
        async with publisher.closing() as last_seq:
            if then == "hands over":
                await transitions.hand_over(claim, wake_by_s=60, last_seq=last_seq)
            else:
                told = (await transitions.finish(claim, status="completed", error=None, last_seq=last_seq)).told
                await publisher.end(told)
    assert asked[0] > 0
    assert asked[1] == 0
    if then == "hands over":
        # What it still owes is the next holder's.
        await drain(thread_id=thread.thread_id, account_id=thread.account_id)
        await thread.serve()
    # Each fact stands in the log under its own number, and was told.
    assert thread.data(watching, "fact") == [{"place": 0}, {"place": 1}]
    await thread.check()
