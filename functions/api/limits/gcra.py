"""The arithmetic of the limit: GCRA, the generic cell rate algorithm (ITU-T I.371), in whole microseconds.

Of an account one number is kept, its theoretical arrival time: when it would have asked last if it had always asked at
its rate. A request moves it one interval on, and is refused where that would be more than ``burst`` intervals ahead of
the clock. So over any time t it admits ``burst + t / interval`` requests, spread as the account likes.
"""

from dataclasses import dataclass

_MINUTE_US = 60_000_000


@dataclass(frozen=True)
class Limit:
    """What a plan allows: requests a minute (1 to 1,000,000), and how many at once."""

    requests_per_minute: int
    burst: int

    @property
    def interval_us(self) -> int:
        """Microseconds a request."""
        return round(_MINUTE_US / self.requests_per_minute)


@dataclass(frozen=True)
class Verdict:
    """What a request came to. ``ahead_us``: how far the account is ahead of the clock after it."""

    limit: Limit
    admitted: bool
    ahead_us: int

    @property
    def remaining(self) -> int:
        """How many more requests would be admitted now."""
        return self.limit.burst - -(-self.ahead_us // self.limit.interval_us)

    @property
    def next_s(self) -> int:
        """Until one more would be admitted than now: whole seconds, rounded up."""
        interval = self.limit.interval_us
        return -(-(self.ahead_us - interval * (self.limit.burst - self.remaining - 1)) // 1_000_000)

    @property
    def headers(self) -> dict[str, str]:
        """``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10); ``Retry-After`` if refused.

        The policy is the burst (``q``) and the seconds in which it comes back (``w``), which together are the rate.
        ``t``: until ``r`` becomes one more.
        """
        limit = self.limit
        window_s = -(-limit.burst * limit.interval_us // 1_000_000)
        answer = {
            "ratelimit-policy": f'"requests";q={limit.burst};w={window_s}',
            "ratelimit": f'"requests";r={self.remaining};t={self.next_s}',
        }
        return answer if self.admitted else answer | {"retry-after": str(self.next_s)}


def take(arrival_us: int, now_us: int, limit: Limit) -> tuple[int, Verdict]:
    """The arrival time after one request at ``now_us``, and what became of the request. As in ``gcra.lua``."""
    # Never further ahead than a whole burst: a clock that was set back, or a plan that is smaller, would lock it out.
    ahead = min(max(arrival_us - now_us, 0), limit.interval_us * limit.burst)
    admitted = ahead <= limit.interval_us * (limit.burst - 1)
    if admitted:
        ahead += limit.interval_us
    return now_us + ahead, Verdict(limit, admitted, ahead)
