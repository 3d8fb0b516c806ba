"""What answers cost in US dollars: by the operator's prices, else by litellm's list."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from shared.llm import BLOCKING, canonical, litellm, provider_of
from shared.settings import Price

_cost_per_token: Any = litellm.cost_per_token  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_Usage: Any = litellm.Usage

_MILLION = 1_000_000
# litellm would ask a server, or begin to log in, on the loop.
_ASKS_FOR_PRICES = BLOCKING | {"huggingface"}
# Nobody sends a bill: the operator has listed the provider, and has its machine. What Ollama passes on to its makers'
# machines is not of these.
_OWN_MACHINES = frozenset({"lemonade", "ollama", "ollama_chat"})
_ELSEWHERE = ("-cloud", ":cloud")

_SENT = _Usage(prompt_tokens=1000, completion_tokens=0, total_tokens=1000)
_ANSWERED = _Usage(prompt_tokens=0, completion_tokens=1000, total_tokens=1000)


class Prices:
    """``own``: the operator's, by the models' names; they take the place of litellm's, however a run names them."""

    def __init__(self, own: Mapping[str, Price]) -> None:
        self._own = {canonical(name): price for name, price in own.items()}

    def of(self, model: str, usage: Any) -> float | None:
        """What an answer costs; ``None`` for a model whose price nobody knows.

        ``usage``: as the answer's last chunk has it, cached tokens included, which the operator's prices do not tell
        from others.
        """
        own = self._own.get(canonical(model))
        if own is not None:
            return (usage.prompt_tokens * own.input + usage.completion_tokens * own.output) / _MILLION
        if provider_of(model) in _OWN_MACHINES:
            return None if model.endswith(_ELSEWHERE) else 0.0
        if not _has_list_price(model):
            return None
        price = _listed(model, usage)
        # Whatever else a provider tells of its tokens may be what litellm does not understand.
        return _listed(model, _plain(usage)) if price is None else price

    def know(self, model: str) -> bool:
        """Whether it is known what the model's answers cost: then each has a price."""
        return self.of(model, _SENT) is not None


@lru_cache(maxsize=1000)
def _has_list_price(model: str) -> bool:
    """Whether both what a model is sent and what it answers cost something.

    litellm also lists models without a price, with nothing, or with a half of it, and passes prices on from other
    providers' models of the name: that an answer costs nothing is for the operator to say.
    """
    return bool(_listed(model, _SENT)) and bool(_listed(model, _ANSWERED))


def _listed(model: str, usage: Any) -> float | None:
    if provider_of(model) in _ASKS_FOR_PRICES:
        return None
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


def _plain(usage: Any) -> Any:
    sent, answered = usage.prompt_tokens, usage.completion_tokens
    return _Usage(prompt_tokens=sent, completion_tokens=answered, total_tokens=sent + answered)
