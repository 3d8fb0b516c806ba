"""Every kind of fault at every point of a run, on both paths, in the deployed stack: ``make faults``."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench.report import sized
from tests.e2e.conftest import LOCAL_DIR, deployed
from tests.faults.journey import Case, Journey
from tests.faults.kinds import KINDS, WARM_UP, Kind
from tests.faults.rounds import play, rounds
from tests.faults.stand import Stand, standing


async def _matrix(stand: Stand, kinds: list[Kind], select: Callable[[Kind], list[Case]]) -> list[Journey]:
    played: list[Journey] = []
    for last in sized((False, False, True), ()):
        wrong = [journey for journey in await play(stand, WARM_UP, WARM_UP.cases()) if journey.problems]
        if last and wrong:
            raise SystemExit("\n".join(f"without any fault: {journey.case}: {journey.problems}" for journey in wrong))
    for kind in kinds:
        cases = select(kind)
        with kind.around(stand):
            if kind.restarts_functions:
                await play(stand, WARM_UP, WARM_UP.cases())
            for number, some in enumerate(rounds(kind, cases), 1):
                began = time.monotonic()
                journeys = await play(stand, kind, some)
                played += journeys
                print(f"{kind.name}, round {number}: {time.monotonic() - began:.0f} s")
                for journey in journeys:
                    print(f"  {journey.case}  after {journey.waited_s:4.1f} s  {journey.proof}")
                    for problem in journey.problems:
                        print(f"    FAILED {problem}")
                sys.stdout.flush()
    return played


def _table(played: list[Journey]) -> None:
    by_kind: dict[str, list[Journey]] = defaultdict(list)
    for journey in played:
        by_kind[journey.case.kind].append(journey)
    print(f"\n{'kind':22} {'injected':>8} {'survived':>8}  points (queue | workflow)")
    for kind, journeys in by_kind.items():
        points = [
            ", ".join(journey.case.point for journey in journeys if journey.case.path == path)
            for path in ("queue", "workflow")
        ]
        survived = sum(not journey.problems for journey in journeys)
        print(f"{kind:22} {len(journeys):8} {survived:8}  {' | '.join(points)}")


def main() -> int:
    """Play the matrix (or the kinds and points that are named); fails unless every case survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", action="append", default=[], help="only this kind, as the table names it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--point", action="append", default=[], help="only this point")
    which.add_argument("--once", action="store_true", help="of each kind one case a path, but for what takes minutes")
    arguments = parser.parse_args()
    named: list[str] = arguments.kind or sized([kind.name for kind in KINDS], ["FLUSHALL"])
    kinds = [kind for kind in KINDS if kind.name in named]
    if not kinds:
        parser.error(f"the kinds are: {', '.join(kind.name for kind in KINDS)}")
    points: list[str] = arguments.point

    def select(kind: Kind) -> list[Case]:
        cases = ([] if kind.takes_minutes else kind.middle()) if arguments.once else kind.cases()
        cases = [case for case in cases if not points or case.point in points]
        return sized(cases, cases[:1])

    with (
        deployed() as stack,
        tempfile.TemporaryDirectory(dir=LOCAL_DIR) as folder,
        standing(stack, Path(folder)) as stand,
    ):
        played = asyncio.run(_matrix(stand, kinds, select))
    _table(played)
    survived = sum(not journey.problems for journey in played)
    lost, duplicated = (
        sum(problem.startswith(word) for journey in played for problem in journey.problems)
        for word in ("lost", "duplicated")
    )
    clients = sum(journey.clients for journey in played)
    print(
        f"faults: {len(played)} injected, {survived} survived, {lost} lost, {duplicated} duplicated, {clients} clients"
    )
    return 0 if survived == len(played) else 1


if __name__ == "__main__":
    sys.exit(main())
