"""A second start applies each variable that the first one reads, or says that it does not."""

import json
import re
from pathlib import Path

import pytest

from suna_localstack.up import control, variables
from suna_localstack.up.errors import StackError
from suna_localstack.up.folders import Folders
from suna_localstack.up.surroundings import child_environment, settings

STACK = {
    "base_url": "http://127.0.0.1:8000",
    "database_url": "postgresql://u:p@127.0.0.1/one",
    "redis_url": "redis://127.0.0.1:1",
    "model_url": "http://127.0.0.1:2",
}
VALUES = {
    "DefaultModel": "openai/one",
    "ProviderSecret": json.dumps({"OPENAI_API_KEY": "one"}),
    "ModelPrices": "{}",
    "McpAllowedPrivate": "",
    "WebhookAllowedPrivate": "",
}
# Of each name in the table, and of each kind of provider's variables: a value that the stack does not have.
OTHERS = {
    "MODEL": "openai/another",
    "MODEL_PRICES": '{"m": {"input": 1, "output": 1}}',
    "MCP_ALLOWED_PRIVATE": "127.0.0.1:1",
    "WEBHOOK_ALLOWED_PRIVATE": "127.0.0.1:1",
    "OPENAI_API_KEY": "another",
    "OPENAI_API_BASE": "https://another.example",
    "AZURE_API_VERSION": "another",
    "ANTHROPIC_BASE_URL": "https://another.example",
    "HF_TOKEN": "another",
    "HUGGINGFACE_TOKEN": "another",
    "PORT": "8001",
    "DATABASE_URL": "postgresql://u:p@127.0.0.1/another",
    "REDIS_URL": "redis://127.0.0.1:3",
    "TZ": "Europe/Rome",
    "SSL_CERT_FILE": "/another",
    "SSL_CERT_DIR": "/another",
    "REQUESTS_CA_BUNDLE": "/another",
    **dict.fromkeys((f"{of}_PROXY" for of in ("HTTP", "HTTPS", "ALL", "NO")), "another.example"),
    **dict.fromkeys((f"{of}_proxy" for of in ("http", "https", "all", "no")), "another.example"),
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_each_variable_is_applied_or_named(name: str) -> None:
    given = {name: OTHERS[name], **({"OPENAI_API_KEY": "one"} if name == "MODEL" else {})}
    match variables.then(name):
        case "applied":
            change = control.change(given, STACK, VALUES)
            assert change.words
            assert OTHERS[name] in change.values.values() or OTHERS[name] in change.values["ProviderSecret"]
            assert control.change(given, STACK, change.values).words == []
        case "refused":
            with pytest.raises(StackError, match=f"another {name}: `make down` first"):
                control.change(given, STACK, VALUES)
        case "told":
            [said] = control.kept(given, {name: "as it was"})
            assert f"{name} as it was started" in said
            assert control.kept(given, given) == []
        case other:
            pytest.fail(f"{name} is read, and {other}")


def test_the_table_is_walked_whole() -> None:
    walked = {name for name, becomes in variables.NAMES.items() if becomes in {"applied", "refused", "told"}}
    assert walked <= OTHERS.keys()


def test_what_is_not_in_the_table_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUNA_NO_DOTENV", raising=False)
    (tmp_path / ".env").write_text("MODEL=openai/x\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("ANOTHER_THING", "1")
    monkeypatch.setenv("PORT", "8000")
    said = settings(Folders(tmp_path, tmp_path / ".local"))
    assert (said["MODEL"], said["PORT"]) == ("openai/x", "8000")
    assert not {"SOMETHING_ELSE", "ANOTHER_THING", "PATH"} & said.keys()
    assert not {"ANOTHER_THING", "PORT"} & child_environment().keys()


@pytest.mark.parametrize("file", sorted(Path(control.__file__).parent.glob("*.py")), ids=lambda file: file.name)
def test_nobody_reads_the_environment_past_the_table(file: Path) -> None:
    """Whoever names a variable names one of the table."""
    named = re.findall(r"os\.environ(?:\.get\(|\[)\"(\w+)\"|\"(\w+)\" (?:not )?in os\.environ", file.read_text())
    assert [name for name in map("".join, named) if variables.then(name) is None] == []


def test_an_empty_variable_is_what_there_is_without_it() -> None:
    prices = control.change({"MODEL_PRICES": OTHERS["MODEL_PRICES"]}, STACK, VALUES).values
    back = control.change({"MODEL_PRICES": " "}, STACK, prices)
    assert json.loads(back.values["ModelPrices"]) == {"openai/scripted": {"input": 0, "output": 0}}
    assert control.change({}, STACK, prices).words == []
