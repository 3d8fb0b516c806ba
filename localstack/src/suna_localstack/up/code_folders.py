"""What the functions run from: ``.local/code/<group>``, laid out as a Lambda bundle, the sources by symlink."""

import hashlib
import os
import shutil
from pathlib import Path

from suna_localstack.up.files import locked
from suna_localstack.up.fingerprint import stored
from suna_localstack.up.folders import GROUPS, Folders
from suna_localstack.up.surroundings import find_uv
from suna_localstack.up.tasks import run_task

_SOURCES = ("functions", "shared")
_STAMP = ".lock.sha256"


def _lock(folders: Folders, group: str) -> Path:
    return folders.root / "locks" / f"{group}.txt"


def _wanted(folders: Folders, group: str) -> str:
    return hashlib.sha256(_lock(folders, group).read_bytes()).hexdigest()


def stale_groups(folders: Folders) -> list[str]:
    """The groups whose dependencies are not those of their lock, or whose sources are those of another clone."""
    return [
        group
        for group in GROUPS
        if stored(folders.code / group / _STAMP) != _wanted(folders, group)
        or any((folders.code / group / name).resolve() != (folders.root / name).resolve() for name in _SOURCES)
    ]


async def prepare_code(folders: Folders, *, env: dict[str, str], log: Path) -> list[str]:
    """Bring every code folder to its lock; returns the groups that were installed anew.

    A folder is built beside the old one and takes its place when complete, so that a start that is killed leaves no
    half of one.

    Raises:
        StackError: uv failed.
    """
    folders.code.mkdir(parents=True, exist_ok=True)
    async with locked(folders.code / ".lock"):
        stale = stale_groups(folders)
        for group in stale:
            wanted = _wanted(folders, group)
            target = folders.code / group
            fresh = folders.code / f"{group}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            await run_task(
                f"installing the {group} functions' dependencies",
                [
                    *(find_uv(folders), "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
                    *("--python", str(folders.dev_python), "--target", str(fresh), "-r", str(_lock(folders, group))),
                ],
                log=log,
                env=env,
                cwd=folders.root,
            )
            for name in _SOURCES:
                # Relative: a clone that is moved or copied runs its own sources.
                (fresh / name).symlink_to(os.path.relpath(folders.root / name, fresh), target_is_directory=True)
            (fresh / _STAMP).write_text(wanted)
            shutil.rmtree(target, ignore_errors=True)
            fresh.replace(target)
        return stale
