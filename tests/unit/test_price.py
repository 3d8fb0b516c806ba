"""What an answer costs, by the list prices that litellm knows."""

from itertools import chain, product
from typing import Any

import pytest
from litellm.types.utils import PromptTokensDetailsWrapper, Usage
from pydantic import ValidationError

from shared.llm import litellm, provider_of
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
        # Somebody else's model of the name has a price, which is not this one's.
        ("openai/deepseek-chat", False),
        ("openai/ai21.j2-ultra-v1", False),
        ("groq/gpt-5-pro/x", False),
        # Listed with nothing, or with half a price.
        ("openrouter/openrouter/auto", False),
        ("gemini/gemini-exp-1206", False),
        ("azure_ai/model_router", False),
        # On the operator's own machine, and on its makers'.
        ("ollama/llama3", True),
        ("ollama/gpt-oss:120b-cloud", False),
        # Whom to ask would be a login.
        ("chatgpt/gpt-5", False),
    ],
)
def test_which_models_have_a_price(model: str, *, is_known: bool) -> None:
    assert Prices({}).know(model) is is_known


def _names() -> list[str]:
    """Every name that litellm lists, with its provider and without; of each kind one under every provider there is."""
    listed: dict[str, dict[str, Any]] = litellm.model_cost  # pyright: ignore[reportUnknownMemberType]
    kinds: dict[tuple[Any, ...], str] = {}
    for name, entry in listed.items():
        costs = (bool(entry.get("input_cost_per_token")), bool(entry.get("output_cost_per_token")))
        kinds[(entry.get("litellm_provider"), entry.get("mode"), *costs)] = name
    providers = [str(getattr(one, "value", one)) for one in litellm.provider_list]
    named = (f"{entry.get('litellm_provider')}/{name}" for name, entry in listed.items())
    everywhere = (f"{provider}/{name}" for provider, name in product(providers, kinds.values()))
    return list(chain(listed, litellm.model_list, named, everywhere))


def test_no_model_is_known_whose_answers_cost_nothing() -> None:
    prices = Prices({})
    used = Usage(prompt_tokens=1000, completion_tokens=1000, total_tokens=2000)
    names = _names()
    known = {name: prices.of(name, used) for name in names if prices.know(name)}
    assert len(known) > len(names) / 100
    free = {name for name, price in known.items() if not price}
    assert {provider_of(name) for name in free} == {"lemonade", "ollama", "ollama_chat"}
    assert all(known[name] is not None for name in free)
    unknown = [name for name in names if name not in known]
    assert all(prices.of(name, used) is None for name in unknown[:2000])


def test_the_operators_price_counts_whichever_way_the_model_is_named() -> None:
    used = Usage(prompt_tokens=1_000_000, completion_tokens=0, total_tokens=1_000_000)
    for own, named in (("openai/gpt-4o", "gpt-4o"), ("gpt-4o", "openai/gpt-4o")):
        assert Prices({own: Price(input=100, output=100)}).of(named, used) == pytest.approx(100)
        assert Prices({own: Price(input=0, output=0)}).of(named, used) == 0


def test_an_answer_has_a_price_whatever_else_its_provider_tells_of_it() -> None:
    odd = Usage(prompt_tokens=1000, completion_tokens=1000, total_tokens=2000)
    odd.prompt_tokens_details = "odd"  # type: ignore[assignment]
    plain = Usage(prompt_tokens=1000, completion_tokens=1000, total_tokens=2000)
    assert price_usd("openai/gpt-4o", odd) == pytest.approx(price_usd("openai/gpt-4o", plain))


def test_a_model_that_nobody_knows_has_no_price() -> None:
    assert price_usd("openai/scripted", Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2)) is None
