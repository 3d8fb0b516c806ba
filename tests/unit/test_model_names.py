"""Names of models: one each, and patterns of them."""

import pytest

from shared.llm import canonical
from shared.model_names import refusal


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("claude-3-haiku-20240307", "anthropic/claude-3-haiku-20240307"),
        ("anthropic.claude-v2:1", "bedrock/anthropic.claude-v2:1"),
        ("openai/openai/inner", "openai/openai/inner"),
        ("nobody-lists-it", "nobody-lists-it"),
    ],
)
def test_a_model_has_one_name(name: str, one: str) -> None:
    assert canonical(name) == one
    assert canonical(one) == one


@pytest.mark.parametrize(
    ("name", "patterns", "is_allowed"),
    [
        ("openai/gpt-4o", None, True),
        ("openai/gpt-4o", ["openai/*"], True),
        ("openai/gpt-4o", ["anthropic/*", "openai/gpt-4?"], True),
        ("openai/gpt-4o-mini", ["openai/gpt-4o"], False),
        ("openai/GPT-4o", ["openai/gpt-4o"], False),
        ("azure/openai/gpt-4o", ["openai/*"], False),
        ("gpt-4o", ["openai/*"], False),
    ],
)
def test_a_pattern_is_of_the_whole_name(name: str, patterns: list[str] | None, is_allowed: bool) -> None:
    assert (refusal([name], patterns) is None) is is_allowed


def test_each_name_has_to_be_allowed() -> None:
    told = refusal(["openai/gpt-4o", "anthropic/claude"], ["openai/*", "xai/*"])
    assert told == "the account's plan does not allow the model 'anthropic/claude': name one of openai/*, xai/*"
    assert refusal([], ["openai/*"]) is None
