"""The sweep: it removes what grows without end and nobody is on his way to remove (``docs/lifecycles/kept.md``).

A sweep goes in rounds, as a deletion does, until nothing is left or the next one has come. Of each kind it removes one
batch in turn: a kind that there is much of keeps none waiting. Every batch is committed by itself, and may be asked for
twice, by two sweeps at once too.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from functions.api.files import remove_objects
from functions.api.watch.deleted_events import remove_deleted_events
from functions.api.watch.deletion import forget_deleted_logs
from shared.aws.queue import SweepMessage
from shared.database import sweep
from shared.errors import DatabaseUnavailableError, SunaError
from shared.runs.settle import Done, LookAgain
from shared.telemetry import logger

_BATCH = 1000
# A single kind may be held up by whoever locks its table.
_MOST_AWAY = 2
# A database that was paused is there by then.
_UNAVAILABLE_S = 30.0

_PARTS: dict[str, Callable[[], Awaitable[int]]] = {
    **{kind: partial(sweep.remove, kind, limit=_BATCH) for kind in sweep.KINDS},
    "objects": remove_objects,
    "logs": forget_deleted_logs,
    "events_of_runs": remove_deleted_events,
}


async def sweep_some(message: SweepMessage, *, age_s: float, round_s: float) -> Done | LookAgain:
    """Do a round of the sweep.

    Args:
        message: when the next sweep comes, which goes on with what this one has not done by then.
        age_s: how long ago the message was sent.
        round_s: how long the round may last; it removes one batch of each kind at least.

    Raises:
        DatabaseUnavailableError: PostgreSQL is away. To wait for it with each kind would take longer than the function
            has, and what came with the sweep's message would stay invisible for minutes.
    """
    if age_s >= message.next_in_s:
        return Done()
    ends_at = time.monotonic() + round_s
    left, failed, away = dict(_PARTS), False, 0
    swept: dict[str, int] = {}
    while left:
        for kind, remove in list(left.items()):
            removed = 0
            try:
                removed = await remove()
                away = 0
            except SunaError as error:
                failed = True
                away = away + 1 if isinstance(error, DatabaseUnavailableError) else 0
                if away == _MOST_AWAY:
                    raise
                logger.warning("something could not be swept yet", extra={"kind": kind}, exc_info=True)
            if removed:
                swept[kind] = swept.get(kind, 0) + removed
            else:
                del left[kind]
        if time.monotonic() >= ends_at:
            break
    if swept:
        logger.info("swept", extra={"swept": swept})
    if left:
        return LookAgain(0.0)
    return LookAgain(_UNAVAILABLE_S) if failed else Done()
