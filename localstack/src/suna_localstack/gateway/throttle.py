"""Token buckets, as API Gateway throttles."""

from collections.abc import Callable


class TokenBucket:
    """Admit `rate` requests a second with bursts of `burst`; not thread-safe, made for one event loop."""

    __slots__ = ("_burst", "_clock", "_last_s", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock
        self._last_s = clock()

    def admit(self) -> bool:
        """Take a token if there is one."""
        now_s = self._clock()
        self._tokens = min(self._burst, self._tokens + (now_s - self._last_s) * self._rate)
        self._last_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
