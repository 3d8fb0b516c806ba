"""The summarizer's function: the workflow's step Summarize."""

from functools import cache
from typing import Any

from functions.summarizer.summarizing import Summarizing
from shared.context.manager import ContextManager
from shared.domain import Json
from shared.llm import Llm
from shared.prices import Prices
from shared.process import run, run_watched
from shared.runs.lease import LeaseKeeper
from shared.runs.step import Step
from shared.settings import model_settings, settings


@cache
def _llm() -> Llm:
    return Llm(model_settings())


@cache
def _context_manager() -> ContextManager:
    return ContextManager(llm=_llm())


@cache
def _summarizing() -> Summarizing:
    """The process's composition."""
    return Summarizing(
        context_manager=_context_manager(),
        default_model=_llm().default_model,
        prices=Prices(_llm().model_prices),
        keeper=LeaseKeeper(lease_s=settings().lease_s),
        lease_s=settings().lease_s,
        wake_by_s=settings().wake_by_s,
    )


async def _warm_up() -> None:
    await _llm().warm_up()
    await _context_manager().warm_up(_llm().default_model)


run(_warm_up())


def handler(event: dict[str, Any], context: Any) -> Json:
    """Summarise the thread of a run that was handed over, or has ended, and answer the next step's input.

    Raises:
        LeaseHeldError: another executor holds the run; the workflow tries again after a lease.
        DatabaseUnavailableError: likewise, sooner.
    """
    step = Step.of(event)
    with step.logged():
        done = run_watched(_summarizing().summarize(step, remaining_s=context.get_remaining_time_in_millis() / 1000))
    return step.answer(event, outcome=done.outcome, next_step=done.next_step, handover_no=done.handover_no)
