"""Appender, publisher and delivery of one hold, opened and closed together."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from shared.domain import LogHold
from shared.runs import log_hold
from shared.stream.appender import Appender
from shared.stream.delivery import Delivery
from shared.stream.publisher import Publisher

# A subscriber that is further behind at the end of a run is served by the next sender.
LONGEST_DELIVERY_S = 10.0


@asynccontextmanager
async def publishing(
    hold: LogHold,
    *,
    run_id: UUID | None,
    on_lost: Callable[[], None],
    delivery_s: Callable[[], float] = lambda: LONGEST_DELIVERY_S,
) -> AsyncGenerator[tuple[Publisher, Delivery]]:
    """A publisher under ``hold``, of run ``run_id``; on leaving, subscribers get what they have not got yet.

    ``delivery_s`` says, when asked at the end, how long that may take.
    """
    delivery = Delivery(thread_id=hold.thread_id, account_id=hold.account_id, last_seq=hold.last_seq)
    appender = Appender(hold, reserve=log_hold.reserve, prove=log_hold.is_newest)
    publisher = Publisher(appender, delivery, run_id=run_id, on_lost=on_lost)
    delivery.start()
    publisher.start()
    try:
        yield publisher, delivery
    finally:
        await publisher.close()
        await delivery.close(timeout_s=min(LONGEST_DELIVERY_S, delivery_s()))
