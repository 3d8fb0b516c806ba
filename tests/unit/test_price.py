"""What an answer costs, by the list prices that litellm knows."""

import pytest
from litellm.types.utils import PromptTokensDetailsWrapper, Usage

from shared.prices import Prices

price_usd = Prices({}).of


def test_a_price_is_that_of_the_tokens() -> None:
    one = price_usd("openai/gpt-4o", Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100))
    assert one is not None
    assert 0 < one < 1
    ten = price_usd("openai/gpt-4o", Usage(prompt_tokens=10_000, completion_tokens=1000, total_tokens=11_000))
    assert ten == pytest.approx(10 * one)


def test_tokens_from_a_cache_are_cheaper() -> None:
    cached = PromptTokensDetailsWrapper(cached_tokens=900)
    told = Usage(prompt_tokens=1000, completion_tokens=0, total_tokens=1000, prompt_tokens_details=cached)
    whole = Usage(prompt_tokens=1000, completion_tokens=0, total_tokens=1000)
    cheap, full = price_usd("openai/gpt-4o", told), price_usd("openai/gpt-4o", whole)
    assert cheap is not None
    assert full is not None
    assert cheap < full


def test_a_model_that_nobody_knows_has_no_price() -> None:
    assert price_usd("openai/scripted", Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2)) is None
