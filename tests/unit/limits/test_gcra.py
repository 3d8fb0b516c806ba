"""GCRA: what is admitted over any time is the burst and what the rate brings, and the answer says when to come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.limits.gcra import Limit, Verdict, take

DEFAULT = Limit(requests_per_minute=100, burst=50)
NOW_US = 1_795_000_000_000_000

limits = st.builds(
    Limit, requests_per_minute=st.integers(min_value=1, max_value=1_000_000), burst=st.integers(1, 1_000_000)
)


def _take_all(times_us: list[int], limit: Limit) -> list[Verdict]:
    arrival = times_us[0]
    verdicts: list[Verdict] = []
    for now in times_us:
        arrival, verdict = take(arrival, now, limit)
        verdicts.append(verdict)
    return verdicts


def test_the_whole_burst_is_admitted_at_once_and_no_more() -> None:
    verdicts = _take_all([NOW_US] * 60, DEFAULT)
    assert [verdict.admitted for verdict in verdicts] == [True] * 50 + [False] * 10
    assert [verdict.remaining for verdict in verdicts] == [*range(49, -1, -1), *[0] * 10]


@pytest.mark.parametrize(("per_minute", "interval_us"), [(1, 60_000_000), (7, 8_571_429), (100, 600_000), (10**6, 60)])
def test_one_more_is_admitted_every_interval_and_not_a_microsecond_earlier(per_minute: int, interval_us: int) -> None:
    limit = Limit(requests_per_minute=per_minute, burst=2)
    early, due = NOW_US + interval_us - 1, NOW_US + interval_us
    verdicts = _take_all([NOW_US, NOW_US, early, due, due, due + interval_us], limit)
    assert [verdict.admitted for verdict in verdicts] == [True, True, False, True, False, True]


@given(limits)
def test_the_rate_is_exact_within_one_percent(limit: Limit) -> None:
    assert 60_000_000 / limit.interval_us == pytest.approx(limit.requests_per_minute, rel=0.01)


@given(
    st.builds(Limit, requests_per_minute=st.integers(1, 1_000_000), burst=st.integers(1, 20)),
    st.lists(st.integers(0, 2_000_000), min_size=1, max_size=200),
)
def test_no_stretch_of_time_admits_more_than_burst_and_rate(limit: Limit, pauses_us: list[int]) -> None:
    times = [NOW_US + sum(pauses_us[: place + 1]) for place in range(len(pauses_us))]
    admitted = [now for now, verdict in zip(times, _take_all(times, limit), strict=True) if verdict.admitted]
    for first, begun in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= limit.burst + (admitted[last] - begun) // limit.interval_us


@given(
    st.builds(Limit, requests_per_minute=st.integers(1, 1_000_000), burst=st.integers(1, 20)),
    st.lists(st.integers(0, 2_000_000), min_size=1, max_size=100),
)
def test_what_the_answer_says_is_what_happens(limit: Limit, pauses_us: list[int]) -> None:
    arrival = now = NOW_US
    for pause in pauses_us:
        now += pause
        arrival, verdict = take(arrival, now, limit)
        # As many as are said to remain are admitted, and not one more ...
        assert [one.admitted for one in _after(arrival, now, limit, verdict.remaining + 1)] == [
            *[True] * verdict.remaining,
            False,
        ]
        # ... but one more is when the time has passed that it says.
        later = now + verdict.next_s * 1_000_000
        assert all(one.admitted for one in _after(arrival, later, limit, verdict.remaining + 1))
        assert verdict.next_s >= 1


def _after(arrival: int, now: int, limit: Limit, count: int) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for _ in range(count):
        arrival, verdict = take(arrival, now, limit)
        verdicts.append(verdict)
    return verdicts


def test_a_refused_request_costs_nothing() -> None:
    arrival = NOW_US
    for _ in range(50):
        arrival, _ = take(arrival, NOW_US, DEFAULT)
    for _ in range(1000):
        refused, verdict = take(arrival, NOW_US, DEFAULT)
        assert (refused, verdict.admitted) == (arrival, False)


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    arrival, _ = take(NOW_US, NOW_US, DEFAULT)
    hour_ago = NOW_US - 3_600_000_000
    arrival, refused = take(arrival, hour_ago, DEFAULT)
    assert (refused.admitted, refused.next_s) == (False, 1)
    _, admitted = take(arrival, hour_ago + 600_000, DEFAULT)
    assert admitted.admitted


def test_a_smaller_plan_counts_from_its_first_request() -> None:
    arrival = NOW_US
    for _ in range(50):
        arrival, _ = take(arrival, NOW_US, DEFAULT)
    small = Limit(requests_per_minute=60, burst=5)
    arrival, refused = take(arrival, NOW_US, small)
    assert (refused.admitted, refused.remaining, refused.next_s) == (False, 0, 1)
    assert take(arrival, NOW_US + 1_000_000, small)[1].admitted


def test_the_headers_of_an_admitted_request() -> None:
    _, verdict = take(NOW_US, NOW_US, DEFAULT)
    assert verdict.headers == {"ratelimit-policy": '"requests";q=50;w=30', "ratelimit": '"requests";r=49;t=1'}


def test_a_refused_request_is_told_when_to_come_back() -> None:
    limit = Limit(requests_per_minute=2, burst=1)
    refused = _take_all([NOW_US, NOW_US + 1], limit)[-1]
    assert refused.headers == {
        "ratelimit-policy": '"requests";q=1;w=30',
        "ratelimit": '"requests";r=0;t=30',
        "retry-after": "30",
    }
