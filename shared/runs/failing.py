"""Ending, as failed, a run that nobody holds."""

from contextlib import suppress

from shared.aws.queue import RunMessage
from shared.domain import Json
from shared.errors import LeaseLostError
from shared.runs.settle import settle
from shared.runs.transitions import fail_unheld
from shared.stream import events
from shared.stream.session import publishing
from shared.telemetry import logger


async def fail_handed_over(message: RunMessage, *, handover_no: int, error: Json) -> None:
    """The workflow's Catch: end the run, if it is still this hand-over's, and tell its subscribers."""
    claim = await fail_unheld(
        agent_run_id=message.agent_run_id, account_id=message.account_id, handover_no=handover_no, error=error
    )
    if claim is None:
        logger.info("not ours to end")
        return
    with suppress(LeaseLostError):  # the thread's next run writes the log already: it is the run's end all the same
        async with publishing(claim, on_lost=lambda: logger.warning("a newer epoch writes the log")) as publisher:
            await publisher.publish(events.lifecycle(claim.agent_run_id, "failed", error=error))
            await publisher.drain_last()
    await settle(agent_run_id=claim.agent_run_id, thread_id=claim.thread_id)
    logger.info("ended", extra={"outcome": "failed", "error": error})
