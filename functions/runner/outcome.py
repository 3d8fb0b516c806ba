"""How an advance ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.domain import Json, RunStatus

Ended = Literal["completed", "failed", "stopped", "timed_out", "needs_input"]
Unfinished = Literal["needs_summary", "out_of_time"]

_STATUS: dict[Ended, RunStatus] = {
    "completed": "completed",
    "failed": "failed",
    "stopped": "stopped",
    "timed_out": "timed_out",
    "needs_input": "needs_input",
}


@dataclass(frozen=True)
class Outcome:
    """``kind`` ends the run, or says what the workflow has to do next.

    ``error``: ``{"code", "message"}``. ``interrupts``: what somebody has to answer, as (interrupt id, payload).
    ``near_budget``: the thread's next summary should be prepared.
    """

    kind: Ended | Unfinished
    error: Json | None = None
    interrupts: Sequence[tuple[str, Json]] = ()
    near_budget: bool = False

    @property
    def status(self) -> RunStatus | None:
        """The run's final status; ``None`` if it goes on."""
        return None if self.kind in ("needs_summary", "out_of_time") else _STATUS[self.kind]
