"""What a part of the measurement of streams answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """``rows``: a table under ``title``; ``figures``: the part's share of the last line."""

    title: str
    rows: Mapping[str, Mapping[str, float]]
    figures: Mapping[str, Any]
