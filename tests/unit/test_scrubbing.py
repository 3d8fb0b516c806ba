"""What others have said is told without what is nobody else's business."""

import json
from types import SimpleNamespace

import pytest

from shared.aws import secrets
from shared.errors import SunaError
from shared.scrubbing import hide, scrubbed, without_secrets
from shared.telemetry import trace_of


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Incorrect API key provided: sk-abc***xyz9.", "Incorrect API key provided: [key]"),
        ("the key AIzaSyA1234567890 is wrong", "the key [key] is wrong"),
        ("http://ada:secret@host/v1/models?key=1", "http://host/v1/models"),
        ("cannot read /home/ada/.config/litellm.json", "cannot read [path]"),
        (r"cannot read C:\\Users\\ada\\x", "cannot read [path]"),
        ("it broke\nTraceback (most recent call last):\n  File", "it broke"),
        ("no such model: openai/gpt-4o-2024-08-06", "no such model: openai/gpt-4o-2024-08-06"),
        ("max_tokens: 200000 > 8192, which is the most", "max_tokens: 200000 > 8192, which is the most"),
        ("x " * 1000, ("x " * 250)),
    ],
)
def test_what_is_scrubbed_of_a_text(text: str, left: str) -> None:
    assert scrubbed(text) == left.strip()[:500]


SECRET = "correct horse battery"


@pytest.mark.parametrize(
    "name",
    ["WEATHER_API_KEY", "OPENAI_API_KEY_TEAM_A", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "password", "hs256_secret"],
)
def test_nobody_is_told_a_key_of_the_environment_or_of_a_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.scrubbing._fetched", set[str]())
    said = f"401 for ?key={SECRET}&city=Rome"
    assert without_secrets(said) == said
    with monkeypatch.context() as environment:
        environment.setenv(name, SECRET)
        assert without_secrets(said) == "401 for ?key=[key]&city=Rome"
    hide(json.dumps({name: SECRET, "port": 5432}))
    assert without_secrets(said) == "401 for ?key=[key]&city=Rome"
    assert scrubbed(f"it said {SECRET}") == "it said [key]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_SECRET_ARN", "arn:aws:secretsmanager:database"),
        ("AWS_ACCESS_KEY_ID", "what names a key"),
        ("OPENAI_API_BASE", "https://own.example"),
        ("OPENAI_API_KEY", "scripted"),
        ("MONKEY_BUSINESS", "what is said of it"),
    ],
)
def test_what_is_no_secret_is_told(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.scrubbing._fetched", set[str]())
    monkeypatch.setenv(name, value)
    hide(json.dumps({name: value}))
    assert without_secrets(f"it said {value}") == f"it said {value}"


async def test_what_is_fetched_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all secrets, whoever asks for them."""

    async def get_secret_value(**_: str) -> dict[str, str]:
        return {"SecretString": json.dumps({"OPENAI_API_KEY": SECRET})}

    async def secrets_manager() -> SimpleNamespace:
        return SimpleNamespace(get_secret_value=get_secret_value)

    monkeypatch.setattr("shared.scrubbing._fetched", set[str]())
    monkeypatch.setattr(secrets, "secrets_manager", secrets_manager)
    await secrets.secret("arn:of-the-test")
    secrets.forget("arn:of-the-test")
    assert without_secrets(SECRET) == "[key]"
    assert trace_of(SunaError(f"refused: {SECRET}")) == "shared.errors.SunaError: refused: [key]"
