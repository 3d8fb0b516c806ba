"""What every measurement prints and keeps."""

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

# With it everything is measured at the smallest size, and nothing is kept: it shows that a measurement works.
SMALLEST = bool(os.environ.get("SMALLEST"))


def sized[T](full: T, smallest: T) -> T:
    """``full``, or ``smallest`` if the environment has ``SMALLEST``."""
    return smallest if SMALLEST else full


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of the values lie (linear interpolation between neighbours)."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    lower = int(place)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (place - lower)


def distribution(values: Sequence[float]) -> dict[str, float]:
    """Minimum, mean, p50, p95, p99 and maximum."""
    return {
        "min": min(values),
        "mean": statistics.fmean(values),
        "p50": percentile(values, 50),
        "p95": percentile(values, 95),
        "p99": percentile(values, 99),
        "max": max(values),
    }


def report(name: str, *, title: str, rows: Mapping[str, Mapping[str, float]], figures: Mapping[str, Any]) -> None:
    """Print ``rows`` as a table and ``figures`` as the last line; keep the figures in ``results/<name>.json``."""
    show(title, rows)
    keep(name, figures)


def show(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print ``rows`` as a table."""
    table = Table(title=title)
    table.add_column("")
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    for column in columns:
        table.add_column(column, justify="right")
    for label, row in rows.items():
        table.add_row(label, *(f"{row[column]:.1f}" if column in row else "" for column in columns))
    Console(width=120).print(table)


def keep(name: str | None, figures: Mapping[str, Any]) -> None:
    """Print ``figures`` as one line of JSON; with a name, keep them in ``results/<name>.json``, unless ``SMALLEST``."""
    if name is not None and not SMALLEST:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures), flush=True)
