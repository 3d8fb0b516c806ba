"""PostgreSQL is away while a run is held: its holder gives the lease back, and nobody counts that as a crash."""

import asyncio
import time
from dataclasses import replace

import pytest

from shared import events
from shared.domain import Claim
from shared.errors import DatabaseUnavailableError, LeaseLostError
from shared.runs import holding as holding_module
from shared.runs import transitions
from shared.runs.holding import holding_run
from shared.runs.lease import LeaseKeeper
from shared.stream import session
from shared.stream.publisher import Publisher
from tests.cable import Cable
from tests.integration.databases import LEASE_S, Database
from tests.integration.waiting import until

pytestmark = pytest.mark.usefixtures("subscriptions_table", "queues")


async def _claimed(database: Database, account_id: str) -> Claim:
    agent_run_id = await database.new_run(await database.new_thread(account_id))
    claim = await transitions.claim(agent_run_id=agent_run_id, account_id=account_id, executor="queue", lease_s=LEASE_S)
    assert claim is not None
    return claim


async def _advance(publisher: Publisher, claim: Claim, *, lost: asyncio.Event, how: str) -> None:
    """What an executor does: it publishes until it hears that it is to end, in the middle of the model or of that."""
    while not lost.is_set():
        await publisher.publish(events.custom(claim.agent_run_id, "said", {}))
        if how == "in the model":
            await lost.wait()
    raise LeaseLostError


@pytest.mark.parametrize("how", ["in the model", "publishing"])
async def test_without_numbers_a_run_is_given_back_and_not_a_crash(
    database: Database, cable: Cable, account_id: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    # GIVEN a holder that has used its numbers up when PostgreSQL goes, for longer than it is patient
    monkeypatch.setattr(session, "_NUMBERS_WITHIN", 0.01)
    monkeypatch.setattr(holding_module, "_PAUSE_S", 0.01)
    claim = await _claimed(database, account_id)
    lost = asyncio.Event()

    def on_lost() -> None:
        # The model is told, and PostgreSQL is there again by the time that it has ended.
        cable.plug()
        lost.set()

    with pytest.raises(DatabaseUnavailableError):
        async with holding_run(
            replace(claim, reserved_seq=claim.last_seq),
            keeper=LeaseKeeper(lease_s=LEASE_S),
            claimed_at=time.monotonic(),
            on_lost=on_lost,
            on_stop=lambda _: None,
        ) as publisher:
            cable.cut()
            await _advance(publisher, claim, lost=lost, how=how)
    # THEN the next one need not wait for the lease's end, and has no crash to count
    assert (await database.run(claim.agent_run_id))["lease_expires_at"] is None
    following = await transitions.claim(
        agent_run_id=claim.agent_run_id, account_id=account_id, executor="queue", lease_s=LEASE_S
    )
    assert following is not None
    assert (following.attempt, following.crashes) == (2, 0)


@pytest.mark.parametrize("where", ["out of reach", "there"])
async def test_a_lease_that_could_not_be_renewed_is_given_back(
    database: Database, cable: Cable, account_id: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    # GIVEN a lease that passes by its holder's clock: PostgreSQL is away, or the loop has stood, which a run may do
    monkeypatch.setattr(holding_module, "_PAUSE_S", 0.01)
    claim = await _claimed(database, account_id)
    keeper = LeaseKeeper(lease_s=0.9)
    if where == "there":
        monkeypatch.setattr(keeper, "_ticks", lambda: False)
    lost = asyncio.Event()
    with pytest.raises(LeaseLostError):
        async with holding_run(
            claim, keeper=keeper, claimed_at=time.monotonic(), on_lost=lost.set, on_stop=lambda _: None
        ):
            if where == "out of reach":
                cable.cut()
            await until(lost.is_set)
            if where == "out of reach":
                cable.plug()
            raise LeaseLostError
    # THEN it is given back where it was not the run that kept it from being renewed
    given_back = (await database.run(claim.agent_run_id))["lease_expires_at"] is None
    assert given_back == (where == "out of reach")
