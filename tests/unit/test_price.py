"""What an answer costs, by the list prices that litellm knows."""

import pytest
from litellm.types.utils import PromptTokensDetailsWrapper, Usage
from pydantic import ValidationError

from shared.prices import Prices
from shared.settings import ModelSettings, Price

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


def test_the_operators_price_stands_before_the_lists() -> None:
    own = {name: Price(input=2, output=10) for name in ("openai/scripted", "openai/gpt-4o")}
    used = Usage(prompt_tokens=1_000_000, completion_tokens=100_000, total_tokens=1_100_000)
    for name in own:
        assert Prices(own).of(name, used) == pytest.approx(3)
        assert Prices(own).know(name)


def test_prices_come_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PRICES", '{"openai/scripted": {"input": 0.5, "output": 0}}')
    assert ModelSettings(default_model="openai/m").model_prices == {"openai/scripted": Price(input=0.5, output=0)}
    for wrong in (
        '{"m": {"input": -1, "output": 0}}',
        '{"m": {"input": 1}}',
        '{"m": {"input": "NaN", "output": 0}}',
        "[]",
    ):
        monkeypatch.setenv("MODEL_PRICES", wrong)
        with pytest.raises(ValidationError):
            ModelSettings(default_model="openai/m")


@pytest.mark.parametrize(
    ("model", "is_known"),
    [
        ("openai/gpt-4o", True),
        ("anthropic/claude-sonnet-4-5", True),
        ("openai/scripted", False),
        # What litellm lists by steps, and without any price at all: its answers are not free.
        ("dashscope/qwen3-max", True),
        ("perplexity/openai/gpt-5.2", False),
        ("snowflake/llama3-8b", False),
    ],
)
def test_which_models_have_a_price(model: str, *, is_known: bool) -> None:
    assert Prices({}).know(model) is is_known


def test_a_model_that_nobody_knows_has_no_price() -> None:
    assert price_usd("openai/scripted", Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2)) is None
