"""What an answer is charged with, as its message's metadata has it: ``{"usage": {...}, "price_usd": ...}``.

The provider's own count, where it has told it: with an answer's last chunk. An answer that was not taken to its end
has none, and is paid for all the same: it is counted here, as the context is, and marked ``estimated``.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.context.counting import count_text, family_of
from shared.domain import Json
from shared.llm import litellm, usage_of
from shared.prices import Prices

_Usage: Any = litellm.Usage


class Charging:
    """Charges by ``prices``."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices

    def reported(self, model: str, usage: Any) -> Json:
        """By the provider's count, as the answer's last chunk has it."""
        price = self._prices.of(model, usage)
        return {"usage": usage_of(usage)} | ({} if price is None else {"price_usd": price})

    def estimated(self, model: str, *, sent: int, received: int) -> Json:
        """By our count, in tokens: of the prompt as it was sent, and of whatever has come back (``count``)."""
        charge = self.reported(
            model, _Usage(prompt_tokens=sent, completion_tokens=received, total_tokens=sent + received)
        )
        return {**charge, "usage": {**charge["usage"], "estimated": True}}


async def count(model: str, text: str) -> int:
    """Tokens of what a model has written, thoughts and calls included; not on the event loop's time."""
    return await asyncio.to_thread(count_text, text, family_of(model).encoding) if text else 0


def in_all(charges: Sequence[Json]) -> Json:
    """Of several answers; a price only where each of them has one, nothing where there is none of them."""
    if not charges:
        return {}
    usages = [charge["usage"] for charge in charges]
    names = ("input_tokens", "output_tokens", "total_tokens")
    usage: Json = {name: sum(used[name] for used in usages) for name in names}
    if any("estimated" in used for used in usages):
        usage["estimated"] = True
    prices = [charge["price_usd"] for charge in charges if "price_usd" in charge]
    return {"usage": usage} | ({"price_usd": sum(prices)} if len(prices) == len(charges) else {})
