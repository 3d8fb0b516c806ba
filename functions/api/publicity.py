"""Making a thread public while a run of it says something."""

from uuid import UUID

from shared.database import connection, threads
from shared.errors import EventLogUnavailableError
from shared.telemetry import logger


async def show_from_now_on(*, thread_id: UUID, account_id: str) -> None:
    """After a thread was made public: what its running run says from now on is everybody's, and nothing before.

    PostgreSQL alone would hide the rest of the run too, since it knows only which numbers the run has reserved. So it
    stays where the event log is away.
    """
    async with connection() as taken:
        position = await threads.stream_position(taken, thread_id=thread_id, account_id=account_id)
    if position is None or not position.held:
        return
    # Deferred: the event log's client costs a cold start 150 ms, and few requests make a thread public.
    from shared.stream import log  # noqa: PLC0415

    try:
        last_seq = await log.last_seq(position.log)
    except EventLogUnavailableError:
        logger.warning("the rest of the thread's run stays private", exc_info=True)
        return
    async with connection() as taken:
        await threads.public_from(taken, position.log, after_seq=last_seq or 0)
