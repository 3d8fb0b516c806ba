"""A clone that cannot be written, or a full disk: one line says what to do, before anything begins."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.localstack.up.commands import ROOT
from tests.localstack.up.test_bad_surroundings import using
from tests.localstack.up.test_clones import OF_OTHERS

# Nobody's rights but an ordinary user's, also where the tests are run by root.
ORDINARY = ("bwrap", "--die-with-parent", "--cap-drop", "ALL", "--dev-bind", "/", "/")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which nothing is set up, with a space in its path."""
    root = tmp_path / "a clone"
    root.mkdir()
    shutil.copy2(ROOT / "Makefile", root)
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    for name in ("clients", "localstack", "locks", "package.json", "package-lock.json"):
        (root / name).symlink_to(ROOT / name)
    return root


def _tried(root: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {*OF_OTHERS, "HOME", "XDG_CACHE_HOME"}}
    return subprocess.run(
        [*ORDINARY, *command],
        cwd=root,
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _refuses(reason: str, root: Path, *command: str, place: Path | None = None) -> None:
    """Assert that the command ends with one line that begins with ``reason``, beside what make says of itself.

    ``place``: where it would have left something running, if that is not ``root``: others may work in this clone.
    """
    done = _tried(root, *command)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1, done.stderr
    assert said[0].startswith(f"error: {reason}"), said
    assert not using(place or root)


@pytest.mark.parametrize("goal", ["run", "test"])
@pytest.mark.parametrize("way", ["a right that lacks", "a read-only disk"])
@pytest.mark.parametrize("is_set_up", [False, True], ids=["as cloned", "set up"])
def test_a_clone_that_cannot_be_written(clone: Path, goal: str, way: str, is_set_up: bool) -> None:
    if is_set_up:
        (clone / ".local").mkdir()
        for name in ("code", "redis", "tools", "venvs"):
            (clone / ".local" / name).symlink_to(ROOT / ".local" / name)
    reason = f"cannot write to {clone}/.local: make it writable"
    if way == "a read-only disk":
        _refuses(reason, clone, "--ro-bind", str(clone), str(clone), "make", goal)
        return
    folders = [folder for folder in (clone, clone / ".local") if folder.exists()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        _refuses(reason, clone, "make", goal)
    finally:
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.parametrize("goal", ["run", "test"])
def test_a_full_disk(clone: Path, goal: str) -> None:
    local = clone / ".local"
    local.mkdir()
    _refuses(f"only 0 MB are free under {local}, ", clone, "--size", "40960", "--tmpfs", str(local), "make", goal)


def test_a_full_disk_for_the_stack_alone(tmp_path: Path) -> None:
    command = ["--setenv", "SUNA_LOCAL_DIR", str(tmp_path), sys.executable, "-m", "suna_localstack.up", "up"]
    _refuses(
        f"only 0 MB are free under {tmp_path}, 1 GB is needed",
        ROOT,
        "--size",
        "40960",
        "--tmpfs",
        str(tmp_path),
        *command,
        place=tmp_path,
    )


@pytest.mark.parametrize("mode", [0o555, 0o755])
def test_where_a_home_cannot_be_written_downloads_are_kept_in_the_clone(clone: Path, mode: int) -> None:
    home = clone.with_name("home")
    home.mkdir(mode=mode)
    tell = "tell:;@echo $$XDG_CACHE_HOME,$$npm_config_cache"
    said = _tried(clone, "make", "--eval", tell, "tell", HOME=str(home / "is not there yet")).stdout.strip()
    cache = clone / ".local/cache"
    assert said == (f"{cache},{cache}/npm" if mode == 0o555 else ",")
