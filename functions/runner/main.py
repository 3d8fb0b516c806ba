"""The runner's functions: one for the queues, one for the workflow's step."""

import asyncio
from functools import cache
from typing import Any

from functions.runner.budget import Budget
from functions.runner.defects import DEFECTS
from functions.runner.execution import Execution
from shared.aws import custom_resource, queue
from shared.aws.queue import RunMessage
from shared.context.manager import ContextManager
from shared.domain import Json
from shared.errors import DatabaseUnavailableError, DefectError, LeaseHeldError
from shared.llm import Llm
from shared.process import at_end, at_init, instance_id, run, run_watched
from shared.runs.failing import fail_handed_over
from shared.runs.lease import LeaseKeeper
from shared.runs.step import Step
from shared.settings import model_settings, settings
from shared.telemetry import bound, logger

# When a message comes back that could not even be claimed: its queue's visibility is hours.
UNAVAILABLE_S = 5.0


@cache
def _llm() -> Llm:
    return Llm(model_settings())


@cache
def _execution() -> Execution:
    """The process's composition."""
    return Execution(
        llm=_llm(),
        context_manager=ContextManager(llm=_llm()),
        keeper=LeaseKeeper(lease_s=settings().lease_s),
        lease_s=settings().lease_s,
        wake_by_s=settings().wake_by_s,
    )


# In the init phase, which has a full CPU: the imports, and the first call that fills litellm's caches.
run(_execution().warm_up())
at_init(_execution().connect)
at_end(_execution().close)


def queue_handler(event: dict[str, Any], context: Any) -> Json:
    """A batch of run messages, executed concurrently; answers SQS's partial batch response.

    At deploy it is also a custom resource, which writes the catalogue.

    A message is reported as failed only if PostgreSQL was out of reach before the claim: after it, the watch repairs.
    """
    if custom_resource.is_custom_resource(event):
        return run(custom_resource.answer(event, physical_id="catalogue", act=_execution().publish)) or {}
    budget = Budget.of_function(context.get_remaining_time_in_millis() / 1000)
    return run_watched(_batch(event.get("Records", []), budget))


async def _batch(records: list[Json], budget: Budget) -> Json:
    # Whatever becomes of one, the others are waited for: a task left behind would go on in another invocation.
    taken = await asyncio.gather(*(_one(record, budget) for record in records), return_exceptions=True)
    failures = [record["messageId"] for record, done in zip(records, taken, strict=True) if done is False]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


async def _one(record: Json, budget: Budget) -> bool:
    """Execute one message's run; whether the message may go."""
    try:
        message = RunMessage.parse(record["body"])
    except ValueError:
        logger.exception("a message on the runs queue names no run")
        return True
    with bound(
        request_id=message.request_id,
        thread_id=str(message.thread_id),
        agent_run_id=str(message.agent_run_id),
        instance_id=str(instance_id()),
    ):
        try:
            await _execution().execute(message, executor="queue", budget=budget)
        except DatabaseUnavailableError:
            logger.warning("the database is out of reach: the message goes back to its queue", exc_info=True)
            await queue.show_again(record, after_s=UNAVAILABLE_S)
            return False
        except Exception:
            # The claim is behind us, so its lease ends and the watch hands the run to another attempt.
            logger.exception("the run was abandoned")
        return True


def workflow_handler(event: dict[str, Any], context: Any) -> Json:
    """The step Advance: the same loop as the queue's, for one run. Answers the next step's input.

    Raises:
        LeaseHeldError: another executor holds the run; the workflow tries again after a lease.
        DefectError: what has gone wrong would come again; the workflow ends the run.
        UnavailableError: it may be better later; the workflow tries again for a while, then the run's watch.
    """
    step = Step.of(event)
    budget = Budget.of_function(context.get_remaining_time_in_millis() / 1000)
    with step.logged(), bound(instance_id=str(instance_id())):
        if event.get("action") == "fail":
            error = {"code": "workflow_failed", "message": f"the workflow failed: {event.get('error')}"}
            run(fail_handed_over(step.message, handover_no=step.handover_no, error=error))
            return step.answer(event, outcome="failed", next_step="end")
        try:
            executed = run_watched(
                _execution().execute(step.message, executor="workflow", budget=budget, handover_no=step.handover_no)
            )
        except DEFECTS as error:
            raise DefectError(type(error).__name__) from error
        if executed.lease_held:
            raise LeaseHeldError
        return step.answer(
            event, outcome=executed.outcome, next_step=executed.next_step, handover_no=executed.handover_no
        )
