"""What was looked up lately, kept in the process for a while."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST = 10_000


class Recent[K: Hashable, V]:
    """Values by key for ``life_s`` seconds; beyond ``MOST`` of them the oldest are forgotten."""

    def __init__(self, *, life_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._life_s = life_s
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, unless it is too old."""
        kept = self._kept.get(key)
        return None if kept is None or self._clock() - kept[0] >= self._life_s else kept[1]

    def put(self, key: K, value: V) -> V:
        """Keep ``value``; returns it."""
        self._kept.pop(key, None)
        self._kept[key] = (self._clock(), value)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return value
