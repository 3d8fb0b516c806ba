"""Streams at once, pushes, open WebSockets, and the first token against other servers: ``make bench-stream``.

``--only`` measures some parts and keeps nothing: what is kept is of one run.
"""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from bench import stream_first_token, stream_load, stream_sockets
from bench.account import Bench, roomy_account
from bench.report import keep, show
from bench.stream_part import Part

PARTS: dict[str, Callable[[Bench], Awaitable[Part]]] = {
    "first-token": lambda bench: stream_first_token.measure(bench, runs=100),
    "load": stream_load.measure,
    "sockets": stream_sockets.measure,
}


async def measure(names: list[str]) -> dict[str, Any]:
    """The figures of the parts of these names, whose tables are printed."""
    bench = await roomy_account()
    # Others' work on the machine makes every figure worse.
    figures: dict[str, Any] = {"processors": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1)}
    for name in names:
        part = await PARTS[name](bench)
        show(part.title, part.rows)
        figures |= part.figures
    return figures


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="measure these and keep nothing")
    only: list[str] | None = parser.parse_args().only
    figures = asyncio.run(measure(only or list(PARTS)))
    keep(None if only else "stream", figures)


if __name__ == "__main__":
    main()
