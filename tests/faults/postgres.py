"""Faults of PostgreSQL that does not die: out of reach for one process, silent for all, replies to COMMIT lost."""

import asyncio
import os
import signal
import time
from contextlib import suppress

import psutil

from tests.faults.injections import Round, attempt_rises
from tests.faults.stand import Stand

# The holder's lease has ended by then, locally.
_CUT_OFF_S = 20.0
_OUTAGE_S = 90.0


async def cut_off_holder(stand: Stand, round_: Round) -> None:
    """The process at the point goes on without PostgreSQL until somebody else has its run; its bytes come late then."""
    rows = [await journey.row() for journey in round_]
    before = stand.cable.held_back
    for journey in round_:
        stand.cable.cut_off(journey.pid)
    began = time.monotonic()
    for journey in round_:
        journey.release()
    try:
        for journey, row in zip(round_, rows, strict=True):
            left = max(0.1, began + _CUT_OFF_S - time.monotonic())
            with suppress(AssertionError):  # who is given the message again may be the one that is cut off
                await attempt_rises(journey, row.get("attempt", 0), patience_s=left)
    finally:
        for journey in round_:
            stand.cable.heal(journey.pid)
    held_back = stand.cable.held_back - before
    assert held_back, "nobody missed PostgreSQL"
    for journey, row in zip(round_, rows, strict=True):
        attempt = (await journey.row()).get("attempt")
        journey.proof = (
            f"{held_back} pieces came {time.monotonic() - began:.0f} s late, attempt {row['attempt']} -> {attempt}"
        )


async def go_silent(stand: Stand, round_: Round) -> None:
    """PostgreSQL takes connections, and says nothing, for 90 s."""
    server = stand.postmaster
    asleep = [*server.children(recursive=True), server]
    for process in reversed(asleep):
        with suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGSTOP)
    try:
        for journey in round_:
            journey.release()
        await asyncio.sleep(_OUTAGE_S)
    finally:
        for process in asleep:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
    for journey in round_:
        journey.proof = f"{len(asleep)} processes of PostgreSQL slept for {_OUTAGE_S:.0f} s"


async def lose_commit(stand: Stand, round_: Round) -> None:
    """The reply to each run's next COMMIT is lost, when it has been done."""
    for journey in round_:
        journey.release("lose_commit")
