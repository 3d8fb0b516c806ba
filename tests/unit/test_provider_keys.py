"""A key goes to the provider that it is for, and what is no key goes to nobody."""

import pytest

from shared import llm as models
from shared.llm import (
    Llm,
    ModelNotAllowedError,
    UnknownProviderKeyError,
    is_passing,
    known_models,
    provider_of,
)
from shared.provider_errors import error_of
from shared.provider_keys import is_key_of, keyed, provider_of_key
from shared.settings import ModelSettings

PROVIDERS = [
    "openai",
    "openai_like",
    "anthropic",
    "anthropic_text",
    "deepseek",
    "azure",
    "azure_ai",
    "together_ai",
    "gemini",
]


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("OPENAI_API_KEY", "openai"),
        ("OPENAI_API_KEY_TEAM_A", "openai"),
        ("OPENAI_LIKE_API_KEY", "openai_like"),
        ("ANTHROPIC_API_KEY", "anthropic"),
        ("AZURE_API_KEY", "azure"),
        ("AZURE_AI_API_KEY", "azure_ai"),
        ("TOGETHERAI_API_KEY", "together_ai"),
        ("GOOGLE_API_KEY", "gemini"),
        ("OPENAI_API_BASE", None),
        ("AWS_SECRET_ACCESS_KEY", None),
        ("DATABASE_PASSWORD", None),
        ("MONKEY", None),
        ("KEY", None),
    ],
)
def test_a_key_is_its_providers_by_its_name(name: str, provider: str | None) -> None:
    assert provider_of_key(name, PROVIDERS) == provider


@pytest.mark.parametrize(
    ("name", "provider", "may"),
    [
        ("ANTHROPIC_API_KEY", "deepseek", False),
        ("ANTHROPIC_API_KEY", "anthropic_text", True),
        ("OPENAI_API_KEY", "openai_like", False),
        ("OPENAI_API_BASE", "openai", False),
    ],
)
def test_a_key_is_sent_to_no_other_provider(name: str, provider: str, may: bool) -> None:
    assert is_key_of(name, provider, PROVIDERS) == may


@pytest.mark.parametrize(
    ("model", "provider"),
    [("deepseek/deepseek-chat", "deepseek"), ("gpt-4o", "openai"), ("github_copilot/x", "github_copilot"), ("x", None)],
)
def test_a_models_provider_is_told_by_its_name_alone(model: str, provider: str | None) -> None:
    assert provider_of(model) == provider


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("ANTHROPIC_API_KEY", "deepseek/deepseek-chat"),
        ("OPENAI_API_BASE", "openai/gpt-4o"),
        ("OPENAI_API_KEY", "nobody/model"),
        ("MISTRAL_API_KEY", "mistral/mistral-large-latest"),
    ],
)
async def test_no_other_key_reaches_a_provider(name: str, model: str) -> None:
    llm = Llm(ModelSettings(default_model="openai/m"))
    llm._keys = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o", "OPENAI_API_BASE": "https://own.example"}
    with pytest.raises(UnknownProviderKeyError):
        await llm._named_key(name, model)
    assert await llm._named_key("OPENAI_API_KEY", "openai/gpt-4o") == {"api_key": "o"}


def _stack(*keys: str, default: str = "openai/m", providers: str = "") -> Llm:
    llm = Llm(ModelSettings(default_model=default, model_providers=providers))
    llm._keys = dict.fromkeys(keys, "secret")
    llm._keyed = keyed(keys, models._PROVIDERS)
    return llm


@pytest.mark.parametrize("provider", sorted(models._PROVIDERS))
async def test_no_provider_is_reached_that_the_operator_has_not_meant(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reach(*_: object, **__: object) -> None:
        pytest.fail(f"{provider} was reached for")

    monkeypatch.setattr("socket.socket.connect", reach)
    monkeypatch.setattr("socket.getaddrinfo", reach)
    llm = _stack("ANTHROPIC_API_KEY", providers="bedrock")
    allowed = {"openai", "anthropic", "anthropic_text", "bedrock"}
    assert await llm.providers() == allowed
    if provider in allowed:
        await llm.check_models([f"{provider}/any"])
        return
    with pytest.raises(ModelNotAllowedError) as refused:
        # As the loop calls it: nothing of litellm sees the name.
        await llm.complete(model=f"{provider}/any", messages=[{"role": "user", "content": "hello"}])
    assert error_of(refused.value)["code"] == "model_not_allowed"
    assert not is_passing(refused.value)


async def test_what_is_listed_is_what_is_served() -> None:
    llm = _stack("ANTHROPIC_API_KEY", default="scripted")
    listed = known_models(await llm.providers())
    assert listed
    assert {provider_of(model) for model in listed} <= {"anthropic", "anthropic_text"}
    await llm.check_models([*listed[:3], "scripted"])
    with pytest.raises(ModelNotAllowedError, match="its providers are anthropic"):
        await llm.check_models(["gpt-4o"])
    with pytest.raises(ModelNotAllowedError):
        await llm.check_models(["another-scripted"])
