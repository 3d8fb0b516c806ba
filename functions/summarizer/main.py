"""The summarizer's function: the workflow's step Summarize."""

import time
from functools import cache
from typing import Any

from functions.summarizer.summary import Summarizer
from shared.domain import Json
from shared.errors import LeaseHeldError
from shared.llm import Llm
from shared.process import run
from shared.runs import transitions
from shared.runs.lease import LeaseKeeper
from shared.runs.step import Step
from shared.settings import model_settings, settings
from shared.telemetry import logger


@cache
def _llm() -> Llm:
    return Llm(model_settings())


@cache
def _keeper() -> LeaseKeeper:
    return LeaseKeeper(lease_s=settings().lease_s)


run(_llm().warm_up())


def handler(event: dict[str, Any], _context: Any) -> Json:
    """Summarise a run's thread under the run's lease, and hand the run on. Answers the next step's input.

    Raises:
        LeaseHeldError: another executor holds the run; the workflow tries again after a lease.
    """
    step = Step.of(event)
    with step.logged():
        return run(_summarize(event, step))


async def _summarize(event: Json, step: Step) -> Json:
    message = step.message
    claimed_at = time.monotonic()
    claim = await transitions.claim(
        agent_run_id=message.agent_run_id,
        account_id=message.account_id,
        executor="workflow",
        lease_s=settings().lease_s,
        handover_no=step.handover_no,
    )
    if claim is None:
        if await transitions.lease_held(agent_run_id=message.agent_run_id, handover_no=step.handover_no):
            raise LeaseHeldError
        logger.info("not ours to summarise")
        return step.answer(event, outcome="refused", next_step="end")
    lease = await _keeper().hold(
        claim,
        claimed_at=claimed_at,
        on_lost=lambda: logger.warning("the lease was lost"),
        on_stop=lambda kind: logger.info("a stop was requested", extra={"kind": kind}),
    )
    try:
        summarised = await Summarizer(_llm()).summarize(claim)
        handover_no = await transitions.hand_over(claim, wake_by_s=settings().wake_by_s, last_seq=claim.last_seq)
    finally:
        _keeper().release(lease)
    outcome = "summarised" if summarised else "nothing_to_summarise"
    return step.answer(event, outcome=outcome, next_step="advance", handover_no=handover_no)
