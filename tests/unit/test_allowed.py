"""What a plan lets an agent name, by patterns."""

import pytest

from shared.allowed import Allowed, Named, Refusal
from shared.llm import named
from shared.provider_keys import extra_key


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
        ("azure/gpt-4o-mini/../gpt-5-pro", ["azure/gpt-4o-mini*"], False),
        ("openrouter/deepseek/deepseek-chat", ["openrouter/*"], False),
        ("openrouter/deepseek/deepseek-chat", ["openrouter/**"], True),
        ("openrouter/deepseek/deepseek-chat", ["openrouter/*/deepseek-?hat"], True),
        ("openai/gptX4o", ["openai/gpt.4o"], False),
    ],
)
def test_a_pattern_is_of_the_whole_name(name: str, patterns: list[str] | None, is_allowed: bool) -> None:
    refused = Allowed(models=patterns, provider_keys=None).refusal(Named(models=[name]))
    assert (refused is None) is is_allowed


def test_each_name_has_to_be_allowed() -> None:
    allowed = Allowed(models=["openai/*", "xai/*"], provider_keys=None)
    told = allowed.refusal(Named(models=["openai/gpt-4o", "anthropic/claude"]))
    assert told == Refusal(
        limit="models",
        code="model_not_allowed",
        message="the account's plan does not allow the model 'anthropic/claude': name one of openai/*, xai/*",
        patterns=["openai/*", "xai/*"],
    )
    assert allowed.refusal(Named()) is None


@pytest.mark.parametrize(
    ("key", "patterns", "is_allowed"),
    [
        (None, None, True),
        (None, ["OPENAI_API_KEY_TEAM_A"], True),
        ("OPENAI_API_KEY_TEAM_A", None, False),
        ("OPENAI_API_KEY_TEAM_A", ["OPENAI_API_KEY_TEAM_?"], True),
        ("OPENAI_API_KEY_TEAM_A", ["*"], True),
        ("OPENAI_API_KEY_TEAM_A", ["ANTHROPIC_*", "OPENAI_API_KEY_TEAM_B"], False),
        ("OPENAI_API_KEY_TEAM_A", ["OPENAI_API_KEY"], False),
    ],
)
def test_a_key_has_to_be_listed(key: str | None, patterns: list[str] | None, is_allowed: bool) -> None:
    refused = Allowed(models=None, provider_keys=patterns).refusal(Named(extra_key=key))
    assert (refused is None) is is_allowed
    if refused is not None:
        assert repr(key) in refused.message
        assert (", ".join(patterns) if patterns else "have whoever runs this stack list it") in refused.message


@pytest.mark.parametrize(
    ("name", "is_usual"),
    [
        ("OPENAI_API_KEY", True),
        ("TOGETHERAI_API_KEY", True),
        ("TOGETHER_AI_API_KEY", True),
        ("ANTHROPIC_API_KEY", True),
        ("OPENAI_API_KEY_TEAM_A", False),
        ("OPENAI_TEAM_A_API_KEY", False),
        ("OPENAI_KEY", False),
        ("OPENAI_API_KEY_", True),
        ("ANTHROPIC_TEXT_API_KEY", False),
        ("MISTRAL_API_KEY", False),
    ],
)
def test_the_usual_key_is_its_providers_name_and_no_more(name: str, is_usual: bool) -> None:
    providers = {"openai", "together_ai", "anthropic_text"}
    assert extra_key(name, providers) == (None if is_usual else name)


def test_the_runner_knows_the_usual_key_of_every_provider() -> None:
    assert named(["gpt-4o"], "MISTRAL_API_KEY") == Named(models=["openai/gpt-4o"])
    assert named(["gpt-4o"], "MISTRAL_API_KEY_2") == Named(models=["openai/gpt-4o"], extra_key="MISTRAL_API_KEY_2")
    assert named(["gpt-4o"], None).extra_key is None
