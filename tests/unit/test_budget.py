"""How long an executor may work."""

import pytest

from functions.runner.budget import RESERVE_S, Budget


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_a_long_function_keeps_back_the_reserve(clock: _Clock) -> None:
    assert Budget.of_function(900, clock=clock).left_s == 900 - RESERVE_S


def test_a_short_function_keeps_back_a_third(clock: _Clock) -> None:
    assert Budget.of_function(6, clock=clock).left_s == pytest.approx(4)


def test_it_runs_down_and_never_below_zero(clock: _Clock) -> None:
    budget = Budget.of_function(900, clock=clock)
    clock.now += 800
    assert budget.left_s == 900 - RESERVE_S - 800
    clock.now += 800
    assert budget.left_s == 0.0


@pytest.mark.parametrize(("wanted_s", "left_s"), [(None, 892.0), (0, 0.0), (5, 5.0), (5000, 892.0)])
def test_a_run_may_want_less_but_never_more(clock: _Clock, wanted_s: float | None, left_s: float) -> None:
    assert Budget.of_function(900, clock=clock).at_most(wanted_s).left_s == left_s


def test_what_a_run_wants_counts_from_now(clock: _Clock) -> None:
    budget = Budget.of_function(900, clock=clock)
    clock.now += 100
    shorter = budget.at_most(5)
    clock.now += 3
    assert shorter.left_s == 2.0


def test_delivery_may_still_use_the_reserve_when_the_budget_has_ended() -> None:
    now = 100.0
    budget = Budget.of_function(60, clock=lambda: now)
    now += budget.left_s
    assert budget.left_s == 0
    assert 0 < budget.closing_s < RESERVE_S
