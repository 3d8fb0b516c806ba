"""Budgets by model."""

import pytest

from shared.context.budget import THRESHOLD, Calibration, budget_of, limits_of


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4.1", THRESHOLD),
        ("anthropic/claude-sonnet-4-5", THRESHOLD),
        ("gpt-4o", 128_000 - 16_384 - 2_560),
        ("gpt-4", 8_192 - 2_048 - 164),  # its answer may fill half of its window: a quarter is kept for that
        ("openai/scripted", 128_000 - 8_192 - 12_800),  # unknown, so the defaults, with the larger reserve
    ],
)
def test_a_budget_is_what_the_window_leaves(model: str, expected: int) -> None:
    assert budget_of(model) == expected


def test_a_smaller_threshold_is_the_budget() -> None:
    assert budget_of("gpt-4.1", threshold=500) == 500


def test_a_model_whose_answer_may_fill_its_window_has_a_budget_all_the_same() -> None:
    limits = limits_of("mistral/mistral-large-latest")
    assert limits.output * 4 <= limits.window


def test_counts_are_corrected_by_the_providers_and_only_downwards() -> None:
    calibration = Calibration()
    assert calibration.adjusted("openai/scripted", 1000) == 1000
    calibration.learn("openai/scripted", counted=1000, reported=1250)
    assert calibration.adjusted("openai/scripted", 1000) == 800
    for _ in range(100):
        calibration.learn("openai/scripted", counted=1000, reported=10)
    assert calibration.adjusted("openai/scripted", 1000) == 1000
    for _ in range(100):
        calibration.learn("openai/scripted", counted=10, reported=1000)
    assert calibration.adjusted("openai/scripted", 1500) == pytest.approx(1000, abs=1)


def test_exact_counts_are_not_corrected() -> None:
    calibration = Calibration()
    calibration.learn("gpt-4o", counted=1000, reported=1400)
    assert calibration.adjusted("gpt-4o", 1000) == 1000
