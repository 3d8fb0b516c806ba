"""Keeping leases alive, on a thread and a connection of its own.

The event loop may be slow (litellm costs CPU per chunk) without being dead, and it may be dead while the process is
not. So the renewals run beside it, and only for as long as it ticks: a loop that hangs loses its leases, one that is
merely busy does not. A lease that cannot be renewed, because PostgreSQL is out of reach from here and perhaps from
nowhere else, is lost when it has passed by the local clock: that is before another holder can be given it.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from shared.database.pool import DirectConnection, connect_arguments, forget_credentials
from shared.database.queries import queries
from shared.domain import Claim, StopKind
from shared.settings import settings
from shared.telemetry import logger

_RENEW = queries("runs")["renew"]

# Renewed three times a lease.
_RENEWALS_A_LEASE = 3
_TRIES = 2


@dataclass(eq=False)
class Lease:
    """A held lease. Its callbacks are called on the event loop, each once at most but ``on_facts``, often."""

    claim: Claim
    on_lost: Callable[[], None]
    on_stop: Callable[[StopKind], None]
    on_facts: Callable[[], None]
    on_drain: Callable[[], None]
    expires_at: float
    told_stop: bool = False
    told_drain: bool = False
    unreachable: bool = False
    """PostgreSQL could not be asked to renew it when that was last tried: if it passes, its run is not why."""

    @property
    def live(self) -> bool:
        """Whether the lease still runs by the local clock, which began before the database's did."""
        return time.monotonic() < self.expires_at

    @property
    def key(self) -> tuple[UUID, int]:
        """One lease a run and attempt."""
        return self.claim.agent_run_id, self.claim.attempt


class LeaseKeeper:
    """Renews every lease the process holds in one statement, a third of a lease apart."""

    def __init__(self, *, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_s = lease_s
        self._interval_s = lease_s / _RENEWALS_A_LEASE
        self._clock = clock
        self._held: dict[tuple[UUID, int], Lease] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticked_at = 0.0
        self._connection: DirectConnection | None = None
        self._connected_at = 0.0
        self._wake = threading.Condition()

    async def hold(
        self,
        claim: Claim,
        *,
        claimed_at: float,
        on_lost: Callable[[], None],
        on_stop: Callable[[StopKind], None],
        on_facts: Callable[[], None],
        on_drain: Callable[[], None] = lambda: None,
    ) -> Lease:
        """Keep the lease of ``claim`` until :meth:`release`.

        Args:
            claim: the claim.
            claimed_at: the local monotonic time before the claim was sent, so the local deadline is never the later.
            on_lost: called when the lease is gone; the holder must stop having effects.
            on_stop: called with the kind of stop when one is requested.
            on_facts: called when facts of the thread wait to be published.
            on_drain: called when the instance is to give its runs away.
        """
        lease = Lease(claim, on_lost, on_stop, on_facts, on_drain, expires_at=claimed_at + self._lease_s)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            threading.Thread(target=self._run, name="lease-keeper", daemon=True).start()
        with self._wake:
            self._held[lease.key] = lease
            self._ticked_at = self._clock()
            self._wake.notify()
        loop.call_at(lease.expires_at, self._expire, lease)
        return lease

    def release(self, lease: Lease) -> None:
        """Stop renewing: the run has ended, was handed over, or is lost."""
        self._drop(lease)

    def _drop(self, lease: Lease) -> bool:
        """Whether it was held still: one caller is told so."""
        with self._wake:
            return self._held.pop(lease.key, None) is not None

    def _expire(self, lease: Lease) -> None:
        """On the event loop, when the lease ends unless it was renewed."""
        if lease.live and lease.key in self._held:
            asyncio.get_running_loop().call_at(lease.expires_at, self._expire, lease)
        elif self._drop(lease):
            logger.warning("a lease has passed, and was not renewed")
            lease.on_lost()

    def _run(self) -> None:
        asyncio.run(self._keep())

    async def _keep(self) -> None:
        while True:
            # On this very thread, which has nothing else to do: one of a pool would be joined at the process's end.
            self._wait_for_work()
            await asyncio.sleep(self._interval_s)
            if self._loop is None or self._loop.is_closed():
                # Nobody is left to be told anything.
                return
            if not self._ticks():
                logger.warning("the event loop has not ticked for a whole interval: leases are not renewed")
                with self._wake:
                    for lease in self._held.values():
                        lease.unreachable = False
                continue
            with self._wake:
                leases = list(self._held.values())
            # A connection that has died without a word costs a part of the interval only: the second try has a new one.
            for _ in range(_TRIES):
                begun = self._clock()
                try:
                    async with asyncio.timeout(self._interval_s / (_TRIES + 1)):
                        renewed = await self._renew(leases)
                except Exception:
                    # Whatever it was, this thread must not end with it: the leases still run for a while.
                    logger.warning("leases could not be renewed", exc_info=True)
                    self._drop_connection()
                    for lease in leases:
                        lease.unreachable = True
                else:
                    self._note(leases, renewed, begun)
                    break

    async def _renew(self, leases: list[Lease]) -> dict[UUID, asyncpg.Record]:
        """Renew what is still ours: run id -> what waits for its holder (``renew`` in ``runs.sql``)."""
        rows = await (await self._connected()).fetch(
            _RENEW,
            [lease.claim.agent_run_id for lease in leases],
            [lease.claim.attempt for lease in leases],
            self._lease_s,
        )
        return {row["agent_run_id"]: row for row in rows}

    async def _connected(self) -> DirectConnection:
        """The keeper's own connection, replaced as those of the pool are, with the password as it is then."""
        if self._clock() - self._connected_at >= settings().postgres_lifetime_s:
            self._drop_connection()
        if self._connection is None or self._connection.is_closed():
            assert self._loop is not None  # noqa: S101 - set before the thread starts
            # The clients of AWS are the event loop's.
            asked = asyncio.run_coroutine_threadsafe(connect_arguments(), self._loop)
            try:
                self._connection = await asyncpg.connect(**await asyncio.wrap_future(asked))
            except asyncpg.InvalidPasswordError:
                forget_credentials()
                raise
            self._connected_at = self._clock()
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _wait_for_work(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._held)

    def _ticks(self) -> bool:
        """Whether the event loop has turned since the last look; asks it to turn until the next."""
        assert self._loop is not None  # noqa: S101 - set before the thread starts
        ticked = self._clock() - self._ticked_at < self._interval_s * 2
        self._loop.call_soon_threadsafe(self._tick)
        return ticked

    def _tick(self) -> None:
        self._ticked_at = self._clock()

    def _note(self, leases: list[Lease], renewed: dict[UUID, asyncpg.Record], begun: float) -> None:
        assert self._loop is not None  # noqa: S101 - set before the thread starts
        for lease in leases:
            lease.unreachable = False
            run_id = lease.claim.agent_run_id
            if run_id in renewed:
                lease.expires_at = begun + self._lease_s
                stop = renewed[run_id]["stop_requested"]
                if stop is not None and not lease.told_stop:
                    lease.told_stop = True
                    self._loop.call_soon_threadsafe(lease.on_stop, stop)
                if renewed[run_id]["drained"] and not lease.told_drain:
                    lease.told_drain = True
                    self._loop.call_soon_threadsafe(lease.on_drain)
                if renewed[run_id]["has_facts"]:
                    self._loop.call_soon_threadsafe(lease.on_facts)
            elif self._drop(lease):
                self._loop.call_soon_threadsafe(lease.on_lost)
