"""What is wrong is said in one line before anything runs, and nothing is left running."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from suna_localstack.up.errors import StackError
from suna_localstack.up.folders import Folders
from suna_localstack.up.provider import choose
from suna_localstack.up.surroundings import child_environment, read_dotenv, settings
from tests.localstack.up.commands import ROOT, up


def refused(folder: Path, reason: str, environment: dict[str, str], *, command: str = "up") -> None:
    """Assert that the command fails with one line that holds ``reason``, and leaves no process."""
    result = up(folder, command, environment=environment)
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert reason in lines[0]
    assert not (folder / "stack.json").exists()
    assert not using(folder)


def using(folder: Path) -> list[str]:
    """Command lines of processes that work in ``folder``."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://suna:secret@127.0.0.1:1/suna", "Connection refused"),
        ("postgresql://suna:secret@no-such-host.invalid/suna", "no-such-host.invalid"),
        ("sqlite:///file", "is no PostgreSQL URL"),
    ],
)
def test_broken_database_url(tmp_path: Path, url: str, reason: str) -> None:
    refused(tmp_path, reason, {"DATABASE_URL": url})


def test_broken_redis_url(tmp_path: Path) -> None:
    refused(tmp_path, "REDIS_URL=redis://127.0.0.1:1 does not work", {"REDIS_URL": "redis://127.0.0.1:1"})


@pytest.mark.parametrize("command", ["up", "run"])
def test_port_in_use(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(tmp_path, f"port {port} is in use", {"PORT": str(port)}, command=command)


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_no_port(tmp_path: Path, port: str) -> None:
    refused(tmp_path, f"PORT={port} is no port", {"PORT": port})


def test_model_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="set ANTHROPIC_API_KEY"):
        choose({"MODEL": "anthropic/claude"}, "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"MODEL": "anthropic/claude", "ANTHROPIC_API_KEY": " "}, "set ANTHROPIC_API_KEY"),
        ({"MODEL": "openai/x", "OPENAI_API_KEY": "a", "OPENAI_API_BASE": "here"}, "OPENAI_API_BASE=here is no address"),
    ],
)
def test_a_provider_is_checked_before_anything_boots(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    refused(tmp_path, reason, environment)

    assert not [path for path in (tmp_path / "logs").iterdir() if path.name != "supervisor.log"]


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/x", "OPENAI_API_KEY"),
        ("together_ai/x", "TOGETHERAI_API_KEY"),
        ("ollama_chat/x", "OLLAMA_API_BASE"),
        ("huggingface/x/y", "HF_TOKEN"),
        ("azure/x", "AZURE_API_KEY"),
    ],
)
def test_a_variable_is_its_providers_and_nobody_elses(model: str, variable: str) -> None:
    given = {"MODEL": model, variable: "http://127.0.0.1:1"}
    assert choose(given, "http://127.0.0.1:1").variables == {variable: "http://127.0.0.1:1"}
    for other in (f"o{model}", model[1:], "open/x"):
        with pytest.raises(StackError, match="needs its provider's key"):
            choose(given | {"MODEL": other}, "http://127.0.0.1:1")


@pytest.mark.parametrize("model", ["gpt-4o", "/gpt-4o", "openai/"])
def test_a_model_without_a_provider_is_no_name(model: str) -> None:
    with pytest.raises(StackError, match=f"MODEL={model} names no provider"):
        choose({"MODEL": model, "ANTHROPIC_API_KEY": "key"}, "http://127.0.0.1:1")


def test_tests_read_no_dotenv_and_have_servers_of_their_own(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MODEL=openai/gpt-5\nREDIS_URL=redis://127.0.0.1:1\n")
    folders = Folders(tmp_path, tmp_path / ".local")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MODEL", raising=False)
        assert settings(folders)["MODEL"] == "openai/gpt-5"
        patch.setenv("SUNA_NO_DOTENV", "1")
        assert "MODEL" not in settings(folders)
    # Of a user's Redis nothing would be left.
    tell = "import os; print(os.environ['REDIS_URL'], os.environ['DATABASE_URL'])"
    done = subprocess.run(
        [sys.executable, "-m", "suna_localstack.up", "with-services", "--", sys.executable, "-c", tell],
        env=os.environ | {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgresql://127.0.0.1:1", "PORT": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "127.0.0.1:1 " not in done.stdout
    assert not done.stdout.strip().endswith("127.0.0.1:1")


def test_model_with_its_key() -> None:
    given = {"MODEL": "anthropic/claude", "ANTHROPIC_API_KEY": "key", "OPENAI_API_KEY": "", "HOME": "/"}

    provider = choose(given, "http://127.0.0.1:1")

    assert provider.model == "anthropic/claude"
    assert provider.variables == {"ANTHROPIC_API_KEY": "key"}


def test_folder_that_cannot_be_written() -> None:
    result = up(Path("/proc/suna"), "up")

    assert result.returncode == 1
    assert "cannot write to /proc/suna" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.fixture
def fresh_clone(tmp_path: Path) -> Path:
    """A clone in which nothing has been synthesized yet; environments and code folders are those of this one."""
    root = tmp_path / "clone"
    source = Path("localstack") / "src"
    shutil.copytree(ROOT / source, root / source, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("infra", "shared", "functions", "locks", "cdk.json", "package-lock.json"):
        (root / name).symlink_to(ROOT / name)
    (root / ".local").mkdir()
    for name in ("venvs", "tools", "code", "redis"):
        (root / ".local" / name).symlink_to(ROOT / ".local" / name)
    return root


def test_no_node_for_a_synth(fresh_clone: Path) -> None:
    script = fresh_clone / "scripts" / "find-node.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho installing >&2\necho 'error: Node.js is missing' >&2\nexit 1\n")
    script.chmod(0o755)

    refused(fresh_clone / ".local", "Node.js is missing", {"PYTHONPATH": str(fresh_clone / "localstack" / "src")})


def test_children_get_no_foreign_settings_and_no_proxy_for_loopback() -> None:
    environment = child_environment(
        {"PATH": "/bin", "AWS_PROFILE": "work", "PYTHONPATH": "/x", "https_proxy": "http://p", "NO_PROXY": "internal"}
    )

    assert environment["PATH"] == "/bin"
    assert environment["https_proxy"] == "http://p"
    assert environment["NO_PROXY"] == environment["no_proxy"] == "internal,127.0.0.1,localhost"
    assert not {"AWS_PROFILE", "PYTHONPATH"} & set(environment)


def test_dotenv_lines(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# comment\nMODEL=openai/gpt-5\nexport OPENAI_API_KEY='a=b'\n\nbroken line\n")

    assert read_dotenv(path) == {"MODEL": "openai/gpt-5", "OPENAI_API_KEY": "a=b"}
    assert read_dotenv(tmp_path / "absent") == {}


def test_a_command_gets_servers_and_gives_its_exit_code(tmp_path: Path, redis_folder: Path) -> None:
    code = (
        "import os, sys, urllib.request, psycopg, redis\n"
        "psycopg.connect(os.environ['DATABASE_URL']).close()\n"
        "redis.Redis.from_url(os.environ['REDIS_URL']).ping()\n"
        "urllib.request.urlopen(os.environ['MODEL_URL'] + '/v1/models').close()\n"
        "sys.exit(7)\n"
    )

    result = up(tmp_path, "with-services", "--", sys.executable, "-c", code)

    assert result.returncode == 7, result.stderr
    assert Folders.from_environment().root == ROOT
    assert os.environ.get("DATABASE_URL") is None
