"""Playing cases: several runs wait at their points at the same time, and the fault meets them all."""

import asyncio
from collections.abc import Iterator

from tests.faults.journey import Case, Journey
from tests.faults.kinds import Kind
from tests.faults.stand import Stand

_TRIES = 3
# The API's function ends after 30 s, a tool after 60 s.
_LONGEST_WAIT_S = 25.0


def rounds(kind: Kind, cases: list[Case]) -> Iterator[list[Case]]:
    """The cases by rounds: of each path as many as there are executors for runs that wait."""
    paths = [[case for case in cases if case.path == path] for path in ("queue", "workflow")]
    while any(paths):
        yield [case for path in paths for case in path[: kind.at_once]]
        paths = [path[kind.at_once :] for path in paths]


async def play(stand: Stand, kind: Kind, cases: list[Case]) -> list[Journey]:
    """Play one round; what went wrong stands in the journeys' ``problems``.

    A round whose runs had to wait for one another for so long that tools ended by their time limit is played again.
    """
    for _ in range(_TRIES - 1):
        journeys = await _play(stand, kind, cases)
        if max(journey.waited_s for journey in journeys) < _LONGEST_WAIT_S:
            return journeys
    return await _play(stand, kind, cases)


async def _play(stand: Stand, kind: Kind, cases: list[Case]) -> list[Journey]:
    if kind.kills_servers:
        await asyncio.sleep(stand.rest_s)
    journeys = [kind.journey(case, stand) for case in cases]
    for journey in journeys:
        kind.set_up(journey)
    try:
        # What goes to a workflow leaves the queue's runner soon, and would have to wait for what stays there.
        for path in ("workflow", "queue"):
            some = [journey for journey in journeys if journey.case.path == path]
            await asyncio.gather(*(journey.begin() for journey in some))
            await asyncio.gather(*(journey.waits() for journey in some))
        await kind.hit(stand, journeys)
    except Exception as error:
        # Nobody goes on from here as if the fault had been: the round has failed, whatever becomes of its runs.
        for journey in journeys:
            journey.problems.append(f"not injected: {error!r}")
            journey.release()
    await asyncio.gather(*(journey.end() for journey in journeys))
    if kind.prove is not None:
        try:
            await kind.prove(stand, journeys)
        except AssertionError as error:
            for journey in journeys:
                journey.problems.append(f"not injected: {error}")
    return journeys
