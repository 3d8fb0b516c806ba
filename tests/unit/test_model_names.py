"""Names of models: one each."""

import pytest
from pydantic import ValidationError

from shared.agent_config import AgentConfig
from shared.llm import BLOCKING, Llm, ModelNotAllowedError, canonical, litellm
from shared.model_names import is_model_name
from shared.settings import ModelSettings


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("claude-3-haiku-20240307", "anthropic/claude-3-haiku-20240307"),
        ("anthropic.claude-v2:1", "bedrock/anthropic.claude-v2:1"),
        ("openai/openai/inner", "openai/openai/inner"),
        ("writer.palmyra-x5-v1:0", "bedrock/writer.palmyra-x5-v1:0"),
        ("gemini-2.0-flash", "vertex_ai/gemini-2.0-flash"),
        ("fireworks-ai-embedding-up-to-150m", "fireworks_ai/fireworks-ai-embedding-up-to-150m"),
        ("nobody-lists-it", "nobody-lists-it"),
    ],
)
def test_a_model_has_one_name(name: str, one: str) -> None:
    assert canonical(name) == one
    assert canonical(one) == one


@pytest.mark.parametrize(
    "name",
    [
        "azure/gpt-4o-mini/../gpt-5-pro",
        "gemini/gemini-2.0-flash/../../cachedContents?x=",
        *("openai/a?b", "openai/a#b", "openai/a%2e%2e", "openai/a\\b", "openai/a b", "openai/a\n", "openai/a\0"),
        *("openai//a", "/a", "a/", "./a", "../a", "openai/./a", "openai/..", "..", "https://a/b", "openai/\u2025"),
    ],
)
def test_a_name_is_nothing_more_in_an_address(name: str) -> None:
    assert not is_model_name(name)
    with pytest.raises(ValidationError):
        AgentConfig(model=name)
    with pytest.raises(ValidationError):
        AgentConfig(fallback_models=[name])


def test_whatever_is_listed_is_named_so() -> None:
    refused = {name for name in map(str, litellm.model_list) if not is_model_name(name)}
    # No names of models: a commitment of months, and the beginning of a path.
    assert all("-month-commitment" in name or name.endswith("/") for name in refused), refused
    assert is_model_name("bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6")
    assert is_model_name("huggingface/meta-llama/Llama-3.3-70B-Instruct:fastest")


async def test_the_runner_calls_no_other_name() -> None:
    llm = Llm(ModelSettings(default_model="azure/one"))
    with pytest.raises(ModelNotAllowedError):
        await llm.check_models(["azure/one/../another"])


def _resolved(name: str) -> str | None:
    """The provider that litellm itself would ask; ``None``: it takes the name for no model's."""
    try:
        return str(litellm.get_llm_provider(name)[1])
    except litellm.exceptions.BadRequestError:
        return None


# Its own function would begin to log in.
LISTED = sorted(name for name, model in litellm.model_cost.items() if model["litellm_provider"] not in BLOCKING)


def test_a_canonical_name_is_of_a_provider_that_litellm_asks() -> None:
    """Over all that litellm lists: else a plan's pattern would be of a provider that nobody else knows."""
    wrong: list[tuple[str, str, str]] = []
    for name in filter(is_model_name, LISTED):
        one, asked = canonical(name), _resolved(name)
        if asked is None:
            continue
        # AI21's older models are asked in one of two ways, by the same vendor.
        same = {asked, asked.removesuffix("_chat")}
        if canonical(one) != one or _resolved(one) not in same or _resolved(f"{one.partition('/')[0]}/any") is None:
            wrong.append((name, one, asked))
    assert not wrong
