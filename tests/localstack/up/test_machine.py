"""What a machine lacks is installed where that may be done; elsewhere one line says what to do, and nothing begins."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localstack.up.commands import ROOT

# What the scripts may use of any Linux.
BASE = "sh dirname grep sed sha256sum cut cat mkdir rm mv ln chmod flock tail head touch basename cksum env uname ldd"


class Machine:
    """A clone, and a folder of programs that is all that PATH has."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self.programs = folder / "programs"
        self.programs.mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for name in BASE.split():
            found = shutil.which(name)
            assert found, name
            (self.programs / name).symlink_to(found)
        self.has("id", "echo 0")

    def has(self, name: str, body: str = "exit 0", folder: Path | None = None) -> None:
        """A program of this name."""
        path = (folder or self.programs) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def has_uv(self) -> None:
        (self.root / ".local").mkdir()
        (self.root / ".local/tools").symlink_to(ROOT / ".local/tools")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        # Without HOME, and without any registry.
        offline = {"UV_OFFLINE": "1", "UV_NO_CACHE": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
        offline["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple"
        return subprocess.run(
            [self.root / "scripts" / command[0], *command[1:]],
            cwd="/",
            env={"PATH": str(self.programs), **offline, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def refuses(self, reason: str, *command: str, **environment: str) -> None:
        """Assert that the script fails with one line that holds ``reason``."""
        done = self.run(*command, **environment)
        assert done.returncode == 1, done.stdout
        lines = done.stderr.strip().splitlines()
        assert lines[-1].startswith("error: "), lines
        assert reason in lines[-1]
        assert not [line for line in lines[:-1] if not line.startswith("installing")], lines


@pytest.fixture
def machine() -> Iterator[Machine]:
    # Not pytest's folder: other users cannot enter it.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Machine(Path(folder))


def test_what_the_tests_need_is_installed_by_root(machine: Machine) -> None:
    machine.has("apt-get", f'echo "$@" >>"{machine.root}/asked"')

    done = machine.run("system.sh", "redis", "tests", CC="/nonexistent")

    assert (done.returncode, done.stderr) == (0, "")
    packages = "make gcc libc6-dev chromium fonts-liberation faketime bubblewrap"
    assert done.stdout == f"installing {packages}\n"
    update, install = (machine.root / "asked").read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith(packages)


def test_others_are_told_what_to_install(machine: Machine) -> None:
    machine.has("apt-get")
    machine.has("id", "echo 1000")
    machine.has("chromium")

    machine.refuses("faketime, bubblewrap. Install it: sudo apt-get install faketime bubblewrap", "system.sh", "tests")


def test_a_machine_without_apt_is_told_what_to_install(machine: Machine) -> None:
    machine.refuses("(Debian's packages: python3 python3-venv)", "system.sh", "python")


def test_a_failure_of_apt_is_one_line(machine: Machine) -> None:
    machine.has("apt-get", 'echo "W: an index failed"; echo "E: Unable to locate package chromium"; exit 100')

    machine.refuses("Unable to locate package chromium", "system.sh", "tests")


def test_a_bubblewrap_that_may_do_nothing_is_told_how_it_may(machine: Machine) -> None:
    for name in ("chromium", "faketime"):
        machine.has(name)
    machine.has("bwrap", '[ "$1" = --version ]')

    machine.refuses("sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0", "system.sh", "tests")


def test_a_stub_that_does_not_run_is_no_browser(machine: Machine) -> None:
    machine.has("apt-get")
    machine.has("id", "echo 1000")
    machine.has("chromium-browser", "echo 'Command requires the chromium snap to be installed.' >&2; exit 1")

    machine.refuses("chromium", "system.sh", "tests")


def test_nothing_is_installed_where_everything_is_there(machine: Machine) -> None:
    for name in ("apt-get", "google-chrome", "faketime", "bwrap", "redis-server"):
        machine.has(name, "exit 1" if name == "apt-get" else "exit 0")
    (machine.programs / "python3").symlink_to(sys.executable)

    done = machine.run("system.sh", "redis", "tests")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("given", ["environment", ".env"])
def test_a_redis_of_ones_own_needs_no_compiler(machine: Machine, given: str) -> None:
    if given == ".env":
        (machine.root / ".env").write_text("export REDIS_URL=redis://somewhere\n")
    environment = {"REDIS_URL": "redis://somewhere"} if given == "environment" else {}

    assert machine.run("system.sh", "redis", **environment).returncode == 0


def test_an_older_node_first_on_path_is_passed_over(machine: Machine, tmp_path: Path) -> None:
    newer, bare = tmp_path / "newer", tmp_path / "bare"
    machine.has("node", "echo v20.20.2")
    machine.has("npm")
    machine.has("node", "echo v24.0.0", bare)  # and no npm
    machine.has("node", "echo v22.1.0", newer)
    machine.has("npm", "exit 0", newer)

    done = machine.run("find-node.sh", PATH=f"{machine.programs}:relative::{bare}:{newer}")

    assert (done.returncode, done.stdout) == (0, f"{newer}\n")


@pytest.mark.parametrize("version", ["v16.20.2", "garbage", ""])
def test_no_node_and_no_registry(machine: Machine, version: str) -> None:
    machine.has_uv()
    machine.has("node", f"echo {version}")
    machine.has("npm")
    machine.has("python3", f'exec "{sys.executable}" "$@"')

    machine.refuses("Node.js 22 or newer is missing", "find-node.sh")


def test_no_python_and_no_network(machine: Machine) -> None:
    machine.has_uv()
    machine.has("python3", "exit 1")

    machine.refuses("there is no Python 3.13, and uv cannot fetch it", "python.sh")


def test_python_of_another_version(machine: Machine) -> None:
    machine.has("other", "echo /other; exit 1")

    machine.refuses("PYTHON=other is no Python 3.13", "python.sh", PYTHON="other")


def test_the_right_python_is_found_behind_a_wrong_one(machine: Machine) -> None:
    machine.has("python3.13", "exit 1")
    machine.has("python3", "exit 1")
    machine.has("python", f'exec "{sys.executable}" "$@"')

    done = machine.run("python.sh")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{sys.executable}\n", "")


def test_no_registry_at_the_first_set_up(machine: Machine) -> None:
    machine.has("python3", f'exec "{sys.executable}" "$@"')

    machine.refuses("uv cannot be installed from PyPI", "tools.sh")
    assert os.listdir(machine.root / ".local") == ["logs"]


@pytest.mark.parametrize("script", ["tools.sh", "find-node.sh"])
def test_a_folder_that_cannot_be_written(machine: Machine, script: str) -> None:
    machine.has("python3", f'exec "{sys.executable}" "$@"')
    (machine.root / ".local").write_text("in the way, for root too")

    machine.refuses("cannot write to", script)
