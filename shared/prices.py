"""What answers cost in US dollars: by the operator's prices, else by litellm's list."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from shared.domain import Json
from shared.llm import litellm, provider_of
from shared.settings import Price

_cost_per_token: Any = litellm.cost_per_token  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_model_cost: Any = litellm.model_cost  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_Usage: Any = litellm.Usage

_MILLION = 1_000_000
# What models of these cost: litellm would ask a server, on the loop, after each answer. Nobody knows, or nothing.
_ASKED_FOR_PRICES = {"huggingface": None, "ollama": 0.0, "ollama_chat": 0.0}


class Prices:
    """``own``: the operator's, by the models' names; they take the place of litellm's."""

    def __init__(self, own: Mapping[str, Price]) -> None:
        self._own = own

    def of(self, model: str, usage: Any) -> float | None:
        """What an answer costs; ``None`` for a model whose price nobody knows.

        ``usage``: as the answer's last chunk has it, cached tokens included, which the operator's prices do not tell
        from others.
        """
        own = self._own.get(model)
        if own is not None:
            return (usage.prompt_tokens * own.input + usage.completion_tokens * own.output) / _MILLION
        return _listed(model, usage) if _is_listed(model) else None

    def know(self, model: str) -> bool:
        """Whether it is known what the model's answers cost."""
        return model in self._own or _is_listed(model)


@cache
def _is_listed(model: str) -> bool:
    """litellm lists models without a price, too, whose answers would cost nothing: that is not known to be so."""
    provider = provider_of(model)
    if provider in _ASKED_FOR_PRICES:
        return _ASKED_FOR_PRICES[provider] is not None
    if _listed(model, _Usage(prompt_tokens=1000, completion_tokens=1000, total_tokens=2000)):
        return True
    listed: Json = _model_cost.get(model) or _model_cost.get(model.partition("/")[2]) or {}
    return listed.get("input_cost_per_token") is not None


def _listed(model: str, usage: Any) -> float | None:
    provider = provider_of(model)
    if provider in _ASKED_FOR_PRICES:
        return _ASKED_FOR_PRICES[provider]
    try:
        prices: tuple[float, float] = _cost_per_token(
            model=model,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            usage_object=usage,
        )
    except Exception:  # litellm has no class of its own for a model that it does not know
        return None
    return sum(prices)
