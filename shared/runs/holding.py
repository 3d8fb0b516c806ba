"""Holding a claimed run: its lease is kept, its events are published, hints to its holder are heard."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from shared.database import connection
from shared.database.queries import queries
from shared.domain import Claim, StopKind
from shared.errors import DatabaseUnavailableError, LeaseLostError, UnavailableError
from shared.runs.lease import LeaseKeeper
from shared.stream import control
from shared.stream.delivery import Delivery
from shared.stream.publisher import Publisher
from shared.stream.session import LONGEST_DELIVERY_S, executing
from shared.telemetry import logger

_SQL = queries("runs")

# Between tries to give a lease back.
_PAUSE_S = 1.0


@asynccontextmanager
async def holding_run(
    claim: Claim,
    *,
    keeper: LeaseKeeper,
    claimed_at: float,
    on_lost: Callable[[], None],
    on_stop: Callable[[StopKind], None],
    on_drain: Callable[[], None] = lambda: None,
    delivery_s: Callable[[], float] = lambda: LONGEST_DELIVERY_S,
) -> AsyncGenerator[Publisher]:
    """Hold ``claim`` for the length of the block; yields its publisher.

    Args:
        claim: the claim.
        keeper: renews its lease.
        claimed_at: the local monotonic time before the claim was sent.
        on_lost: called when the run is somebody else's; the holder must stop having effects.
        on_stop: called when a stop is requested, with its kind; maybe more than once.
        on_drain: called when the instance is to give the run away; maybe more than once. Whoever holds it but shortly
            need not heed it.
        delivery_s: how long delivery may take at the end, asked then; and the release of a lease that is given back,
            if the block raises ``UnavailableError``, or the lease has passed because PostgreSQL was out of reach.

    Raises:
        UnavailableError: the block did; or it raised ``LeaseLostError`` when told by ``on_lost``, and nothing but a
            service that is away has kept its events from being written.
    """
    gives_back = False
    try:
        async with executing(claim, run_id=claim.agent_run_id, on_lost=on_lost, delivery_s=delivery_s) as (
            publisher,
            delivery,
        ):
            lease = await keeper.hold(
                claim,
                claimed_at=claimed_at,
                on_lost=on_lost,
                on_stop=on_stop,
                on_facts=publisher.facts_soon,
                on_drain=on_drain,
            )
            listening = asyncio.create_task(_listen(claim, publisher, delivery, on_stop, on_drain))
            try:
                yield publisher
            except LeaseLostError:
                if publisher.failure is not None:
                    raise publisher.failure from None
                gives_back = lease.unreachable
                raise
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                keeper.release(lease)
    except (UnavailableError, LeaseLostError) as error:
        if gives_back or isinstance(error, UnavailableError):
            await _release(claim, within_s=delivery_s())
        raise


async def _release(claim: Claim, *, within_s: float) -> None:
    """Give the lease back, for it is not the run that has failed: no crash is counted, and nobody waits for its end.

    PostgreSQL may be what is away: then as soon as it is back, however long ago the lease has ended by then, unless
    somebody else has claimed the run or the caller's time is over.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            async with connection() as taken:
                await taken.execute(_SQL["release"], claim.agent_run_id, claim.attempt)
        except DatabaseUnavailableError:
            if time.monotonic() + _PAUSE_S >= deadline:
                logger.warning("the lease could not be given back; it ends by itself", exc_info=True)
                return
            await asyncio.sleep(_PAUSE_S)
        else:
            return


async def _listen(
    claim: Claim,
    publisher: Publisher,
    delivery: Delivery,
    on_stop: Callable[[StopKind], None],
    on_drain: Callable[[], None],
) -> None:
    """Hear hints: what was asked for before the first id is noted is found in the database right after it."""
    if claim.stop_requested is not None:
        on_stop(claim.stop_requested)
    since = await control.last_id(claim)
    await _heed(claim, on_stop, on_drain)
    async for hint in control.listen(claim, after_id=since):
        match hint.kind:
            case "stop" if hint.agent_run_id == str(claim.agent_run_id):
                await _heed(claim, on_stop, on_drain)
            case "facts":
                publisher.facts_soon()
            case "subscriptions":
                delivery.refresh_soon()
            case _:
                pass


async def _heed(claim: Claim, on_stop: Callable[[StopKind], None], on_drain: Callable[[], None]) -> None:
    """A hint says nothing by itself: the flags in the database do."""
    try:
        async with connection() as taken:
            asked = await taken.fetchrow(_SQL["asked_of_holder"], claim.agent_run_id, claim.attempt)
    except DatabaseUnavailableError:
        logger.warning("the stop flag could not be read; the next renewal reads it", exc_info=True)
        return
    if asked is None:
        return  # another attempt holds it by now, which the next renewal finds out
    if asked["stop_requested"] is not None:
        on_stop(asked["stop_requested"])
    if asked["drained"]:
        on_drain()
