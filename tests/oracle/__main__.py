"""Compare the running stack with ``langgraph dev``: ``make oracle``; 1 if they differ in what is not explained."""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from uuid import uuid4

from langgraph_sdk import get_client

from bench.account import roomy_account
from bench.report import SMALLEST, sized
from bench.stream_peers import langgraph_dev
from tests.oracle import rows, runs
from tests.oracle.compare import Calls, Difference, differences
from tests.oracle.explained import EXPLAINED
from tests.oracle.seen import Recorder
from tests.unit.test_sdk_table import sdk_table

GRAPH = Path(__file__).parent / "graph"
SCENARIOS = sized(
    (
        rows.assistants,
        rows.threads,
        rows.states,
        runs.runs,
        runs.busy,
        runs.streams,
        runs.thread_streams,
    ),
    (rows.assistants,),
)


async def seen_of(url: str, headers: dict[str, str]) -> Calls:
    """What a server does when all scenarios are played on it."""
    # A connection a request: a server may end one that is kept at the instant when it is used again.
    async with get_client(url=url, api_key=None, headers={**headers, "connection": "close"}) as sdk:
        seen = Recorder(sdk)
        for scenario in SCENARIOS:
            await scenario(seen)
        return seen.seen


async def compared() -> tuple[Calls, list[Difference]]:
    """The oracle's calls, and where the stack differs."""
    bench = await roomy_account(str(uuid4()))
    with tempfile.TemporaryDirectory() as folder:
        oracle = langgraph_dev(Path(folder) / "oracle", model_url=bench.fields["model_url"], graph=GRAPH)
        async with oracle as url, asyncio.TaskGroup() as both:
            ours = both.create_task(seen_of(bench.stack.base_url, bench.stack.headers))
            theirs = both.create_task(seen_of(url, {}))
            # The group ends before the server does.
            await asyncio.wait({ours, theirs})
    return theirs.result(), differences(ours.result(), theirs.result())


def report(theirs: Calls, found: list[Difference]) -> list[str]:
    """Print the table; what is wrong, one line each."""
    methods = {method for method, _ in theirs}
    covering = {difference: [one for one in EXPLAINED if one.covers(difference)] for difference in found}
    open_ones = [difference for difference, covered in covering.items() if not covered]
    used = {id(one) for covered in covering.values() for one in covered}
    wrong = [str(difference) for difference in open_ones]
    if not SMALLEST:
        wrong += [f"explains nothing: {one}" for one in EXPLAINED if id(one) not in used]
        wrong += [
            f"{method}: not compared"
            for method, here in sdk_table().items()
            if here == "works" and method not in methods
        ]
    cases, differing, unexplained = (
        Counter(method for method, _ in theirs),
        Counter(difference.method for difference in found),
        Counter(difference.method for difference in open_ones),
    )
    print(f"{'method':30}{'calls':>7}{'explained':>11}{'unexplained':>13}")
    for method in sorted(methods):
        explained = differing[method] - unexplained[method]
        print(f"{method:30}{cases[method]:>7}{explained:>11}{unexplained[method]:>13}")
    for line in wrong:
        print(line)
    explained = len(found) - len(open_ones)
    print(f"oracle: {len(methods)} methods compared, {explained} differences explained, {len(open_ones)} unexplained")
    return wrong


def main() -> int:
    """Compare and report."""
    return 1 if report(*asyncio.run(compared())) else 0


if __name__ == "__main__":
    sys.exit(main())
