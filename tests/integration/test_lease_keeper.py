"""The lease keeper: renews while the loop ticks, and says when a lease is gone."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from shared.aws.clients import secrets_manager
from shared.domain import Claim
from shared.runs import transitions
from shared.runs.lease import Lease, LeaseKeeper
from shared.settings import settings
from tests.cable import Cable
from tests.integration.conftest import using
from tests.integration.databases import Database
from tests.integration.waiting import TIMEOUT_S, until

LEASE_S = 0.9

EXPIRED = "SELECT lease_expires_at < clock_timestamp() FROM agent_runs WHERE agent_run_id = $1"


class Held:
    """A lease that is kept, and what its keeper has said."""

    def __init__(self, claim: Claim, keeper: LeaseKeeper) -> None:
        self.claim = claim
        self.keeper = keeper
        self.lost = 0
        self.told_facts = 0
        self.stops: list[str] = []
        self.lease: Lease | None = None

    def on_lost(self) -> None:
        self.lost += 1

    def on_facts(self) -> None:
        self.told_facts += 1

    async def keep(self, claimed_at: float) -> None:
        self.lease = await self.keeper.hold(
            self.claim,
            claimed_at=claimed_at,
            on_lost=self.on_lost,
            on_stop=self.stops.append,
            on_facts=self.on_facts,
        )

    def release(self) -> None:
        assert self.lease is not None
        self.keeper.release(self.lease)


@pytest.fixture
async def keeper(database: Database) -> AsyncIterator[LeaseKeeper]:
    keeper = LeaseKeeper(lease_s=LEASE_S)
    yield keeper
    for lease in list(keeper._held.values()):
        keeper.release(lease)
    # Its thread waits for more leases then, and looks neither at the database nor at the loop, which both end.
    await until(lambda: keeper._wake._waiters)  # type: ignore[attr-defined]


async def _hold(database: Database, account_id: str, keeper: LeaseKeeper) -> Held:
    agent_run_id = await database.new_run(await database.new_thread(account_id))
    claimed_at = time.monotonic()
    held = Held(await _claim(account_id, agent_run_id), keeper)
    await held.keep(claimed_at)
    return held


async def _claim(account_id: str, agent_run_id: UUID) -> Claim:
    claim = await transitions.claim(agent_run_id=agent_run_id, account_id=account_id, executor="queue", lease_s=LEASE_S)
    assert claim is not None
    return claim


async def _renewed(database: Database, *held: Held) -> None:
    """Wait until each lease was renewed from now on."""
    for one in held:
        before = (await database.run(one.claim.agent_run_id))["lease_expires_at"]

        async def later(one: Held = one, before: object = before) -> bool:
            return (await database.run(one.claim.agent_run_id))["lease_expires_at"] > before  # type: ignore[operator]

        await until(later)


def _expires(database: Database, held: Held) -> Awaitable[bool]:
    return database.connection.fetchval(EXPIRED, held.claim.agent_run_id)


async def test_every_lease_of_the_process_is_renewed_again_and_again(
    database: Database, account_id: str, keeper: LeaseKeeper
) -> None:
    held = [await _hold(database, account_id, keeper) for _ in range(3)]
    first_deadlines = [one.lease.expires_at for one in held if one.lease]
    # THEN each outlives its first term by more than a renewal
    for _ in range(4):
        await _renewed(database, *held)
    assert [one.lost for one in held] == [0, 0, 0]
    assert all(one.lease and one.lease.live for one in held)
    assert all(one.lease and one.lease.expires_at > first for one, first in zip(held, first_deadlines, strict=True))
    for one in held:
        one.release()


async def test_a_released_lease_is_not_renewed(database: Database, account_id: str, keeper: LeaseKeeper) -> None:
    released, kept = [await _hold(database, account_id, keeper) for _ in range(2)]
    released.release()
    await until(lambda: _expires(database, released))
    assert not await _expires(database, kept)
    assert (released.lost, kept.lost) == (0, 0)
    kept.release()


async def test_a_loop_that_hangs_loses_its_leases(database: Database, account_id: str, keeper: LeaseKeeper) -> None:
    held = await _hold(database, account_id, keeper)
    await _renewed(database, held)

    async def expired() -> None:
        connection = await database.connect()
        try:
            await until(lambda: connection.fetchval(EXPIRED, held.claim.agent_run_id))
        finally:
            await connection.close()

    # WHEN the loop does not turn (another one, on a thread, looks at the database meanwhile)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, expired()).result(TIMEOUT_S)
    # THEN the run is another's, and the holder knows by its own clock before anybody tells it
    assert held.lease is not None
    assert not held.lease.live
    assert (await _claim(account_id, held.claim.agent_run_id)).attempt == 2
    # AND once the loop turns again, it is told
    await until(lambda: held.lost)
    assert held.lost == 1


async def test_a_lease_that_another_attempt_took_is_lost_once(
    database: Database, account_id: str, keeper: LeaseKeeper
) -> None:
    lost, kept = [await _hold(database, account_id, keeper) for _ in range(2)]
    await database.expire_lease(lost.claim.agent_run_id)
    await _claim(account_id, lost.claim.agent_run_id)
    await until(lambda: lost.lost)
    for _ in range(2):
        await _renewed(database, kept)
    assert (lost.lost, kept.lost) == (1, 0)
    kept.release()


async def test_a_zombie_does_not_renew_its_successors_lease(
    database: Database, account_id: str, keeper: LeaseKeeper
) -> None:
    held = await _hold(database, account_id, keeper)
    await database.expire_lease(held.claim.agent_run_id)
    await _claim(account_id, held.claim.agent_run_id)
    await until(lambda: held.lost)
    # The successor keeps nothing alive here: its lease ends by itself.
    await until(lambda: _expires(database, held))


@pytest.mark.parametrize("kind", ["stop", "interrupt", "rollback"])
async def test_a_stop_is_told_once_and_the_lease_goes_on(
    database: Database, account_id: str, keeper: LeaseKeeper, kind: str
) -> None:
    held = await _hold(database, account_id, keeper)
    await database.set_run(held.claim.agent_run_id, stop_requested=f"'{kind}'")
    await until(lambda: held.stops)
    for _ in range(2):
        await _renewed(database, held)
    assert (held.stops, held.lost) == ([kind], 0)
    held.release()


async def test_leases_survive_a_restart_of_the_database(
    database: Database, account_id: str, keeper: LeaseKeeper
) -> None:
    held = await _hold(database, account_id, keeper)
    await _renewed(database, held)
    # WHEN the server ends every connection, and takes no new one for a moment
    assert await database.disconnect_all() > 0
    for _ in range(3):
        await _renewed(database, held)
    assert held.lost == 0
    held.release()


async def test_whoever_is_cut_off_from_the_database_has_lost_its_lease_before_another_has_it(
    database: Database, account_id: str, keeper: LeaseKeeper
) -> None:
    cable = Cable(database.port)
    cable.plug()
    async with using(database.secret(port=cable.port)):
        held = await _hold(database, account_id, keeper)
        await _renewed(database, held)
        # WHEN the database is out of its reach, and of nobody else's
        cable.cut()
        await until(lambda: held.lost)
        assert held.lease is not None
        assert not held.lease.live
        cable.plug()
        # THEN the run is another's, and the one who was cut off does not take it back
        await until(lambda: _expires(database, held))
        assert (await _claim(account_id, held.claim.agent_run_id)).attempt == 2
        successor = await database.run(held.claim.agent_run_id)
        kept = await _hold(database, account_id, keeper)
        await _renewed(database, kept)
        assert (held.lost, kept.lost) == (1, 0)
        assert await database.run(held.claim.agent_run_id) == successor
        kept.release()
        await until(lambda: keeper._wake._waiters)  # type: ignore[attr-defined]
    cable.cut()


async def test_a_password_that_was_rotated_is_asked_for_again(
    database: Database, account_id: str, keeper: LeaseKeeper
) -> None:
    role = f"rotating_{database.name}"
    owner = await database.connection.fetchval("SELECT current_user")
    await database.connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first' IN ROLE {owner}")
    secret = json.loads(database.secret()) | {"username": role, "password": "first"}
    async with using(json.dumps(secret)):
        held = await _hold(database, account_id, keeper)
        await _renewed(database, held)
        await database.connection.execute(f"ALTER ROLE {role} PASSWORD 'second'")
        await (await secrets_manager()).put_secret_value(
            SecretId=settings().database_secret_arn, SecretString=json.dumps(secret | {"password": "second"})
        )
        # WHEN a failover ends every connection
        assert await database.disconnect_all() > 0
        for _ in range(3):
            await _renewed(database, held)
        assert held.lost == 0
        held.release()
        await until(lambda: keeper._wake._waiters)  # type: ignore[attr-defined]
    await database.connection.execute(f"DROP ROLE {role}")


async def test_callbacks_run_on_the_event_loop(database: Database, account_id: str, keeper: LeaseKeeper) -> None:
    told: list[asyncio.AbstractEventLoop] = []
    agent_run_id = await database.new_run(await database.new_thread(account_id))
    claim = await _claim(account_id, agent_run_id)
    await keeper.hold(
        claim,
        claimed_at=time.monotonic(),
        on_lost=lambda: None,
        on_stop=lambda _kind: told.append(asyncio.get_running_loop()),
        on_facts=lambda: None,
    )
    await database.set_run(agent_run_id, stop_requested="'stop'", lease_expires_at="clock_timestamp() + interval '9 s'")
    await until(lambda: told)
    assert told == [asyncio.get_running_loop()]
    await database.expire_lease(agent_run_id)


A_PROCESS = """
import asyncio, sys, time
from uuid import UUID
from shared.process import run
from shared.runs import transitions
from shared.runs.lease import LeaseKeeper

async def hold(account_id, agent_run_id):
    claim = await transitions.claim(
        agent_run_id=UUID(agent_run_id), account_id=account_id, executor="queue", lease_s=0.3
    )
    keeper, told = LeaseKeeper(lease_s=0.3), asyncio.Event()
    lease = await keeper.hold(
        claim, claimed_at=time.monotonic(), on_lost=told.set, on_stop=lambda kind: told.set(), on_facts=lambda: None
    )
    await told.wait()
    keeper.release(lease)
    while not keeper._wake._waiters:  # until its thread has nothing to do, and waits for more
        await asyncio.sleep(0.01)

run(hold(*sys.argv[1:]))
"""


async def test_a_process_that_kept_leases_can_end(database: Database, account_id: str) -> None:
    """A worker whose runtime has gone must not stay behind, waiting for leases to keep."""
    agent_run_id = await database.new_run(await database.new_thread(account_id))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", A_PROCESS, account_id, str(agent_run_id), cwd=Path(__file__).parents[2]
    )
    try:
        await until(lambda: database.connection.fetchval("SELECT true FROM agent_runs WHERE attempt = 1"))
        # A claim requires that no stop is asked for: ask now, which ends the program.
        await database.set_run(agent_run_id, stop_requested="'stop'")
        assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()


async def test_a_database_that_is_away_is_asked_again(database: Database, account_id: str, keeper: LeaseKeeper) -> None:
    held = await _hold(database, account_id, keeper)
    await _renewed(database, held)
    # GIVEN a lease that cannot be renewed for one interval, because somebody holds the row
    holder = await database.connect()
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("SELECT FROM agent_runs WHERE agent_run_id = $1 FOR UPDATE", held.claim.agent_run_id)
    await until(database.waiting_for_a_lock)
    # WHEN the row is free again THEN the lease goes on
    await transaction.rollback()
    await holder.close()
    await _renewed(database, held)
    assert held.lost == 0
    held.release()
