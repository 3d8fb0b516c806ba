"""One fault of each kind, on both paths, in the deployed stack: `make faults` does them at every point."""

from collections.abc import Generator

import pytest

from tests.e2e.conftest import RunningStack
from tests.faults.kinds import KINDS, WARM_UP, Kind
from tests.faults.rounds import play
from tests.faults.stand import Stand, standing

# In the middle of a run, where a kind is done there at all.
_POINTS = ("tool charge", "summary_told", "dispatch")


@pytest.fixture(scope="module")
def stand(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stand]:
    """The stack with points in its functions' code."""
    with standing(stack, tmp_path_factory.mktemp("faults")) as found:
        yield found


@pytest.fixture(scope="module")
async def warm(stand: Stand) -> Stand:
    """... whose functions have started."""
    await play(stand, WARM_UP, WARM_UP.cases())
    return stand


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_run_survives(warm: Stand, kind: Kind) -> None:
    point = next(point for point in _POINTS if any(case.point == point for case in kind.cases()))
    with kind.around(warm):
        if kind.restarts_functions:
            await play(warm, WARM_UP, WARM_UP.cases())
        journeys = await play(warm, kind, [case for case in kind.cases() if case.point == point])
    assert [journey.problems for journey in journeys] == [[] for _ in journeys]
    assert all(journey.proof for journey in journeys)
