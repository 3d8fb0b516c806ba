"""How many tokens a model may be given, and what its provider's counts teach about ours."""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from shared.context.counting import family_of
from shared.llm import litellm

# Suna's threshold: beyond it models get slower, dearer and less attentive, whatever their window.
THRESHOLD = 120_000

# Of models that litellm does not know.
DEFAULT_WINDOW = 128_000
DEFAULT_OUTPUT = 8_192

# Share of the window that is kept free for what a count cannot know: a provider's own framing, and of an approximate
# family the error of the count.
EXACT_RESERVE = 0.02
APPROXIMATE_RESERVE = 0.10

# Some models may fill their whole window with an answer; a quarter of it is kept for that at most.
_OUTPUT_SHARE = 4

_LEAST_BUDGET = 1_000

_get_model_info: Any = litellm.get_model_info  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@dataclass(frozen=True)
class ModelLimits:
    """In tokens. ``reasons``: the model thinks before it answers, and its thoughts count as output."""

    window: int
    output: int
    reasons: bool


@cache
def limits_of(model: str) -> ModelLimits:
    """The model's limits as litellm's list has them, else defaults."""
    info: dict[str, Any] = {}
    with suppress(Exception):  # it raises plain Exception for a model that is not in its list
        info = dict(_get_model_info(model))
    window = info.get("max_input_tokens") or info.get("max_tokens") or DEFAULT_WINDOW
    output = min(info.get("max_output_tokens") or DEFAULT_OUTPUT, window // _OUTPUT_SHARE)
    return ModelLimits(window=window, output=output, reasons=bool(info.get("supports_reasoning")))


def budget_of(model: str, *, threshold: int = THRESHOLD) -> int:
    """The most tokens of input: ``min(threshold, window - output - reserve)``."""
    limits = limits_of(model)
    reserve = EXACT_RESERVE if family_of(model).exact else APPROXIMATE_RESERVE
    return min(threshold, max(_LEAST_BUDGET, limits.window - limits.output - round(limits.window * reserve)))


class Calibration:
    """By how much a provider's counts differ from ours, for models whose encoding we do not have.

    Lives as long as the process: a fresh one works with the reserve alone.
    """

    # Beyond that something else is wrong: images, caching, a proxy that counts differently.
    LEAST, MOST = 0.8, 1.5
    _WEIGHT = 0.2

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def learn(self, model: str, *, counted: int, reported: int) -> None:
        """The provider has counted ``reported`` input tokens where we had ``counted``."""
        if family_of(model).exact or counted <= 0 or reported <= 0:
            return
        seen = min(self.MOST, max(self.LEAST, reported / counted))
        known = self._factors.get(model, seen)
        self._factors[model] = known + self._WEIGHT * (seen - known)

    def adjusted(self, model: str, budget: int) -> int:
        """``budget``, which is in the provider's tokens, in ours; never more than it, however few they count."""
        return round(budget / max(1.0, self._factors.get(model, 1.0)))
