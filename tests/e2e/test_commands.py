"""Every command of the README works at its smallest size, and a program can read its last line."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.commands import ROOT, TRIED, Call, Done, readme_commands
from tests.e2e.conftest import LOCAL_DIR, RunningStack

_LOCAL, _DEV = (ROOT / f".local/venvs/{name}/bin/python" for name in ("localstack", "dev"))


def test_every_command_of_the_readme_is_tried() -> None:
    assert sorted(readme_commands()) == sorted(TRIED)


@pytest.mark.parametrize("command", [name for name, how in TRIED.items() if isinstance(how, Done)])
def test_what_does_the_same_is_there(command: str) -> None:
    how = TRIED[command]
    assert isinstance(how, Done)
    file, _, name = how.by.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith(".py"):
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)
    else:
        run = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)  # a comment runs nothing
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", run)


@pytest.mark.parametrize("command", [name for name, how in TRIED.items() if isinstance(how, Call)])
def test_a_command_works_at_its_smallest_size(stack: RunningStack, command: str, tmp_path: Path) -> None:
    del stack
    how = TRIED[command]
    assert isinstance(how, Call)
    argv = [str(_LOCAL if how.local else _DEV), "-m", *how.argv]
    if how.with_services:
        argv = [str(_LOCAL), "-m", "suna_localstack.up", "with-services", "--", *argv]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=os.environ | {"SMALLEST": "1", "SUNA_LOCAL_DIR": str(tmp_path if how.own_stack else LOCAL_DIR)},
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
