"""Appender, publisher and delivery of one hold, opened and closed together."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from shared.domain import LogHold
from shared.settings import settings
from shared.stream import log_hold, wake
from shared.stream.appender import PROOF_S, Appender
from shared.stream.delivery import Delivery, NoDelivery
from shared.stream.publisher import Publisher

# A subscriber that is further behind at the end of a run is served by the sender function.
LONGEST_DELIVERY_S = 10.0
# For what part of a lease an executor without numbers waits for PostgreSQL: it is renewed three times in its length, so
# that two thirds are left at least.
_NUMBERS_WITHIN = 0.5


@asynccontextmanager
async def executing(
    hold: LogHold,
    *,
    run_id: UUID,
    on_lost: Callable[[], None],
    delivery_s: Callable[[], float] = lambda: LONGEST_DELIVERY_S,
) -> AsyncGenerator[tuple[Publisher, Delivery]]:
    """A publisher under ``hold``, of run ``run_id``, and delivery; on leaving, subscribers get what they have not yet.

    ``delivery_s`` says, when asked at the end, how long that may take; who has not got all then is left to the sender
    function.
    """
    delivery = Delivery(hold)
    # The claim has just raised the epoch.
    appender = _appender(hold, proved_for_s=PROOF_S, patience_s=settings().lease_s * _NUMBERS_WITHIN)
    publisher = Publisher(appender, delivery, run_id=run_id, on_lost=on_lost)
    delivery.start()
    publisher.start()
    try:
        yield publisher, delivery
    finally:
        await publisher.close()
        if not await delivery.close(timeout_s=min(LONGEST_DELIVERY_S, delivery_s())):
            await wake.sender(thread_id=hold.thread_id, account_id=hold.account_id)


@asynccontextmanager
async def draining(hold: LogHold, *, on_lost: Callable[[], None]) -> AsyncGenerator[Publisher]:
    """A publisher under ``hold`` while no run is executed; on leaving, the sender function is woken."""
    publisher = Publisher(_appender(hold), NoDelivery(), run_id=None, on_lost=on_lost)
    publisher.start()
    try:
        yield publisher
    finally:
        await publisher.close()
        await wake.sender(thread_id=hold.thread_id, account_id=hold.account_id)


def _appender(hold: LogHold, **known: float) -> Appender:
    return Appender(hold, reserve=log_hold.reserve, prove=log_hold.is_newest, **known)
