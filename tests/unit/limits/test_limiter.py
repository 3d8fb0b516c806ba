"""The limiter without Redis, and what it keeps in the process."""

import pytest

from functions.api import recent
from functions.api.limits import limiter
from functions.api.limits.gcra import Limit, Verdict, take
from functions.api.limits.limiter import LocalLimiter, refuse
from functions.api.recent import Recent
from shared.errors import RateLimitedError

LIMIT = Limit(requests_per_minute=60, burst=3)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_local_limiter_keeps_accounts_apart() -> None:
    local = LocalLimiter()
    mine = [local.take("mine", LIMIT, now_us=0).admitted for _ in range(5)]
    assert mine == [True, True, True, False, False]
    assert local.take("yours", LIMIT, now_us=0).remaining == 2
    assert local.take("mine", LIMIT, now_us=1_000_000).admitted


def test_the_local_limiter_admits_what_the_arithmetic_does() -> None:
    local, arrival = LocalLimiter(), 0
    for now in range(0, 10_000_000, 123_457):
        arrival, expected = take(max(arrival, now), now, LIMIT)
        assert local.take("account", LIMIT, now_us=now) == expected


def test_the_local_limiter_forgets_who_has_not_asked_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "MOST", 2)
    local = LocalLimiter()
    for account in ("a", "b", "a", "c"):
        local.take(account, LIMIT, now_us=0)
    assert list(local._arrivals) == ["a", "c"]


def test_one_too_many_is_told_what_the_plan_allows_and_when_to_come_back() -> None:
    refuse(Verdict(LIMIT, True, 0))
    with pytest.raises(RateLimitedError) as refused:
        refuse(Verdict(LIMIT, False, 3_000_000))
    assert refused.value.message == (
        "this account's plan allows 60 requests a minute, 3 of them at once: come back in 1 s"
    )
    assert refused.value.detail == {"requests_per_minute": 60, "burst": 3, "retry_after_s": 1}


@pytest.mark.parametrize("account_id", ["plain", "{brace}", "x" * 10_000, "über\x00"])
def test_a_key_is_short_whatever_the_account_is_called(account_id: str) -> None:
    key = limiter.key(account_id)
    assert len(key) == len("rate:") + 32
    assert key.isprintable()
    assert key != limiter.key(account_id + "x")


def test_what_was_looked_up_is_forgotten_after_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 2)
    clock = Clock()
    kept: Recent[str, int] = Recent(life_s=30, clock=clock)
    assert kept.put("a", 1) == kept.get("a") == 1
    clock.now = 29.9
    assert kept.get("a") == 1
    clock.now = 30
    assert kept.get("a") is None
    for name in "bcd":
        kept.put(name, 2)
    assert [kept.get(name) for name in "bcd"] == [None, 2, 2]
