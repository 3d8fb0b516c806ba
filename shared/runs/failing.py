"""Ending, as failed, a run that was handed over and that nobody holds."""

from shared.aws.queue import RunMessage
from shared.database import transaction
from shared.database.queries import queries
from shared.domain import Json
from shared.runs.settle import settle
from shared.runs.unheld import end_unheld
from shared.telemetry import logger

_SQL = queries("runs")


async def fail_handed_over(message: RunMessage, *, handover_no: int, error: Json) -> None:
    """The workflow's Catch: end the run, if it is still this hand-over's, and tell its subscribers."""
    async with transaction() as taken:
        if await taken.fetchval(_SQL["lock_thread_of"], message.agent_run_id, message.account_id) is None:
            logger.info("not ours to end")
            return
        ended = await end_unheld(
            taken,
            agent_run_id=message.agent_run_id,
            status="failed",
            error=error,
            executor="workflow",
            handover_no=handover_no,
        )
    if ended is None:
        logger.info("not ours to end")
        return
    logger.info("ended", extra={"outcome": "failed", "error": error})
    await settle(agent_run_id=ended.agent_run_id, thread_id=ended.thread_id, account_id=ended.account_id)
