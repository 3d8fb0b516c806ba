"""The kinds of faults, and the points of a run that each is done at, by path."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from tests.faults.injections import (
    Round,
    clock,
    clock_jumped,
    clock_jumps,
    duplicate,
    flush,
    kill_postgres,
    kill_recorder,
    kill_redis,
    kill_waiting,
    late,
    lose_reply,
    nothing,
    older_dump,
    refuse_start,
    refused,
    reply_was_lost,
    short_queue_time,
    sleep,
    throttle_sending,
    throttle_subscriptions,
)
from tests.faults.journey import Case, Journey, Path
from tests.faults.postgres import cut_off_holder, go_silent, lose_commit
from tests.faults.stand import Stand
from tests.faults.watching import throttle_connecting, throttle_leases
from tests.faults.wishes import (
    Approved,
    Deadly,
    Deleted,
    RolledBack,
    Silenced,
    Stopped,
    TailLost,
    kill_approved,
    let_die,
    lose_tail,
    wish,
)

_HOLDING = ["stream", "called", "tool note", "finished", "tool charge", "end", "ended"]
_RUNNER = ["claim", *_HOLDING]
_COMMITTING = ["claim", "stream", "called", "tool note", "finished", "tool charge", "end"]
_WISHED = ["dispatch", *_RUNNER]
_APPROVED = ["claim", "tool charge", "finished", "end", "ended"]
_ANYWHERE = ["dispatch", *_RUNNER, "summary_ask"]
# In the middle of a run, where a kind is done there at all.
_MIDDLE = ("tool charge", "summary_told", "dispatch", "end", "called", "tool note")
_SUMMARIZER = [
    "summary_claim",
    "summary_ask",
    "summary_told",
    "summary_kept",
    "summary_hand_over",
    "summary_handed_over",
]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of fault and the points it is done at, by path. ``at_once``: so many runs of a path in a round."""

    name: str
    queue: list[str]
    workflow: list[str]
    hit: Callable[[Stand, Round], Awaitable[None]]
    prove: Callable[[Stand, Round], Awaitable[None]] | None = None
    journey: type[Journey] = Journey
    set_up: Callable[[Journey], None] = lambda journey: None
    around: Callable[[Stand], AbstractContextManager[Any]] = lambda stand: nullcontext()
    at_once: int = 4
    kills_servers: bool = False
    restarts_functions: bool = False
    # Then it is played with all the others only.
    takes_minutes: bool = False

    def cases(self) -> list[Case]:
        """Its cases."""
        by_path: list[tuple[Path, list[str]]] = [("queue", self.queue), ("workflow", self.workflow)]
        return [Case(self.name, point, path) for path, points in by_path for point in points]

    def middle(self) -> list[Case]:
        """Of its cases one a path, in the middle of a run."""
        cases = self.cases()
        return next(found for point in _MIDDLE if (found := [case for case in cases if case.point == point]))


WARM_UP = Kind(
    name="(warm-up)",
    queue=["stream", "called", "tool note", "end"],
    workflow=["stream", "called", "summary_ask", "end"],
    hit=nothing,
)
"""No fault: every function starts, which takes a while, before runs wait for one another."""

KINDS = [
    Kind(name="kill runner", queue=_RUNNER, workflow=_RUNNER, hit=kill_waiting),
    Kind(
        name="kill API",
        queue=["watched", "dispatch", "dispatched", *_RUNNER],
        workflow=["watched", "dispatch", "dispatched", *_RUNNER],
        hit=kill_recorder,
    ),
    Kind(name="kill summarizer", queue=_SUMMARIZER, workflow=_SUMMARIZER, hit=kill_waiting, at_once=2),
    Kind(name="kill Redis", queue=_ANYWHERE, workflow=_ANYWHERE, hit=kill_redis, kills_servers=True),
    Kind(name="kill PostgreSQL", queue=_ANYWHERE, workflow=_ANYWHERE, hit=kill_postgres, kills_servers=True),
    Kind(name="FLUSHALL", queue=_ANYWHERE, workflow=_ANYWHERE, hit=flush),
    Kind(name="older dump", queue=_ANYWHERE, workflow=_ANYWHERE, hit=older_dump, kills_servers=True),
    Kind(name="lost reply", queue=_HOLDING, workflow=_HOLDING, hit=lose_reply, prove=reply_was_lost),
    Kind(name="lost COMMIT", queue=_COMMITTING, workflow=_COMMITTING, hit=lose_commit, prove=reply_was_lost),
    Kind(name="holder cut off", queue=_RUNNER, workflow=_RUNNER, hit=cut_off_holder),
    Kind(
        name="90 s of silence",
        queue=[],
        workflow=["claim", "stream", "tool note", "end"],
        hit=go_silent,
        journey=Silenced,
        takes_minutes=True,
    ),
    Kind(name="lost tail", queue=["end", "ended"], workflow=["end", "ended"], hit=lose_tail, journey=TailLost),
    Kind(name="stop", queue=_WISHED, workflow=_WISHED, hit=wish, journey=Stopped),
    Kind(name="rollback", queue=_WISHED, workflow=_WISHED, hit=wish, journey=RolledBack),
    Kind(name="deletion", queue=["watched", *_WISHED], workflow=["watched", *_WISHED], hit=wish, journey=Deleted),
    Kind(name="approval", queue=_APPROVED, workflow=_APPROVED, hit=kill_approved, journey=Approved),
    Kind(name="deadly tool", queue=["called"], workflow=["called"], hit=let_die, journey=Deadly),
    Kind(name="duplicate delivery", queue=_RUNNER, workflow=_RUNNER, hit=duplicate, prove=refused),
    Kind(name="late delivery", queue=_RUNNER, workflow=_RUNNER, hit=late, prove=refused),
    Kind(name="SIGSTOP, SIGCONT", queue=_RUNNER, workflow=_RUNNER, hit=sleep, at_once=2),
    Kind(
        name="StartExecution fails",
        # A tool that must not be called twice is not begun in the second that is left.
        queue=["claim", "stream", "called", "tool note", "finished"],
        workflow=[],
        hit=refuse_start,
        set_up=short_queue_time,
    ),
    Kind(
        name="throttled queue",
        queue=["watched", "dispatch", *_HOLDING[:6]],
        workflow=["watched", "dispatch"],
        hit=throttle_sending,
    ),
    Kind(name="throttled DynamoDB", queue=_RUNNER[:-2], workflow=_RUNNER[:-2], hit=throttle_subscriptions),
    Kind(name="throttled leases", queue=_RUNNER[:-2], workflow=_RUNNER[:-2], hit=throttle_leases),
    Kind(name="throttled connecting", queue=_RUNNER[:-2], workflow=_RUNNER[:-2], hit=throttle_connecting),
    Kind(
        name="clock +5 s",
        queue=_RUNNER,
        workflow=_RUNNER,
        hit=clock_jumps(5),
        prove=clock_jumped(5),
        around=clock,
        restarts_functions=True,
    ),
    Kind(
        name="clock -5 s",
        queue=_RUNNER,
        workflow=_RUNNER,
        hit=clock_jumps(-5),
        prove=clock_jumped(-5),
        around=clock,
        restarts_functions=True,
    ),
]
