"""Pages of what is found: they end where an answer of a function would become too large."""

from collections.abc import Sequence
from dataclasses import dataclass

# A Lambda answer is 6 MB at most, and what is not ASCII may take more room in it than here.
LARGEST_PAGE_BYTES = 3_000_000


@dataclass(frozen=True)
class Page[T]:
    """``items``: at most as many as were wanted. ``end``: the offset behind them; ``is_last``: nothing is there."""

    items: Sequence[T]
    end: int
    is_last: bool
