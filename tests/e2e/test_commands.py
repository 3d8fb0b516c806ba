"""Every command of the README works at its smallest size, and a program can read its last line."""

import json
import os
import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from scripts.test import ROWS
from tests.commands import ROOT, TRIED, Call, Elsewhere, Step, readme_commands, recipe
from tests.e2e.conftest import LOCAL_DIR, RunningStack

_LOCAL, _DEV = (ROOT / f".local/venvs/{name}/bin/python" for name in ("localstack", "dev"))
_SERVERS = ("DATABASE_URL", "REDIS_URL", "PLAIN_REDIS_URL", "MODEL_URL")


def test_every_command_of_the_readme_is_tried() -> None:
    assert sorted(readme_commands()) == sorted(TRIED)


@pytest.mark.parametrize("command", TRIED)
def test_what_is_called_is_what_the_command_runs(command: str) -> None:
    match TRIED[command]:
        case Call(argv=argv):
            makes = recipe(command)
            assert re.search(rf"-m {re.escape(argv[0])}(?![\w.])|\$\(UP\) {argv[1] if argv[1:] else ''}", makes), makes
        case Step(name=name):
            assert name in {step for row in ROWS for step in row}
        case Elsewhere(by=by):
            file, _, word = by.partition("::")
            assert _runs(file, word)


def _runs(script: str, word: str) -> bool:
    text = re.sub(r"^\s*#.*", "", (ROOT / script).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return re.search(rf"(?<![\w-]){word}(?![\w-])", text) is not None


@pytest.fixture(scope="module")
def services() -> Generator[dict[str, str]]:
    """Where the servers are that the benches of parts share."""
    say = f"import json, os; print(json.dumps({{name: os.environ[name] for name in {_SERVERS}}}), flush=True); input()"
    with subprocess.Popen(
        [_LOCAL, "-m", "suna_localstack.up", "with-services", "--", _DEV, "-c", say],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize("command", [name for name, how in TRIED.items() if isinstance(how, Call)])
def test_a_command_works_at_its_smallest_size(
    stack: RunningStack, services: dict[str, str], command: str, tmp_path: Path
) -> None:
    del stack
    how = TRIED[command]
    assert isinstance(how, Call)
    given = {"SMALLEST": "1", "SUNA_LOCAL_DIR": str(tmp_path if how.own_folder else LOCAL_DIR)}
    done = subprocess.run(
        [_LOCAL if how.local else _DEV, "-m", *how.argv],
        cwd=ROOT,
        env=os.environ | given | (services if how.with_services else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    last = [line for line in done.stdout.splitlines() if line.strip()][-1]
    if how.last is None:
        assert json.loads(last).keys() >= how.keys, said
    else:
        assert re.fullmatch(how.last, last), said
