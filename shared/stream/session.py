"""Publisher and delivery of one claim, opened and closed together."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from shared.domain import Claim
from shared.runs.transitions import reserve_seq
from shared.stream.delivery import Delivery
from shared.stream.publisher import Publisher

# A subscriber that is further behind at the end of a run is served by the next sender.
LONGEST_DELIVERY_S = 10.0


@asynccontextmanager
async def publishing(
    claim: Claim, *, on_lost: Callable[[], None], delivery_s: Callable[[], float] = lambda: LONGEST_DELIVERY_S
) -> AsyncGenerator[Publisher]:
    """A publisher for the holder of ``claim``; on leaving, subscribers get what they have not got yet.

    ``delivery_s`` says, when asked at the end, how long that may take.
    """
    delivery = Delivery(thread_id=claim.thread_id, account_id=claim.account_id, last_seq=claim.last_seq)
    publisher = Publisher(claim, delivery, reserve_seq=reserve_seq, on_lost=on_lost)
    delivery.start()
    publisher.start()
    try:
        yield publisher
    finally:
        await publisher.close()
        await delivery.close(timeout_s=min(LONGEST_DELIVERY_S, delivery_s()))
