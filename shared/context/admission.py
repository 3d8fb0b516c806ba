"""Whether a model may be asked for a run, by its account's plan: before each answer, and before each summary."""

from collections.abc import Sequence

from shared.database.budgets import Spending
from shared.domain import Json
from shared.llm import named
from shared.prices import Prices


def problem(spending: Spending, models: Sequence[str], *, provider_key: str | None, prices: Prices) -> Json | None:
    """The error of a run that one of ``models`` may not answer (any more), with the key that its agent names; ``None``:
    all may.

    Its budget or the account's day is spent, the plan does not allow one of them or the key, or bounds money and nobody
    knows what one costs.
    """
    if (spent := spending.error) is not None:
        return spent
    refused = spending.allowed.refusal(named(models, provider_key))
    if refused is not None:
        return {"code": refused.code, "message": refused.message}
    unknown = [model for model in models if not prices.know(model)] if spending.bounds_money else []
    if unknown:
        message = (
            f"nobody knows what {unknown[0]!r} costs, and the account's plan bounds money: choose a model with a price,"
            " or have whoever runs this stack give it one (ModelPrices)"
        )
        return {"code": "model_without_price", "message": message}
    return None
