"""Which processes belong to a stack, told apart from strangers that later got the same number."""

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

import psutil

from suna_localstack.up.files import read_json, write_json
from suna_localstack.up.folders import Folders

MARK = "SUNA_STACK_ID"
"""Environment variable that every process of a stack carries, with the random id of this start of it."""

_CREATED_TOLERANCE_S = 1.0


def identity(pid: int) -> dict[str, Any]:
    """What tells a process from another with the same number: its start time and its command line."""
    process = psutil.Process(pid)
    return {"pid": pid, "created": process.create_time(), "command": process.cmdline()[:3]}


def running(record: dict[str, Any]) -> psutil.Process | None:
    """The live process that ``record`` (of ``identity``) describes."""
    try:
        process = psutil.Process(int(record["pid"]))
        same = abs(process.create_time() - float(record["created"])) < _CREATED_TOLERANCE_S
        if same and process.cmdline()[:3] == record["command"] and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (psutil.Error, KeyError, ValueError, TypeError):
        pass
    return None


def marked(stack_id: str) -> list[psutil.Process]:
    """Every live process of the stack's start ``stack_id``, except this one."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.environ().get(MARK) == stack_id
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _folder_identity(folders: Folders) -> dict[str, int]:
    """What a folder keeps when it is renamed, and what its copy does not have."""
    status = folders.private.stat()
    return {"device": status.st_dev, "inode": status.st_ino}


def record(folders: Folders, stack_id: str, children: Sequence[dict[str, Any]] = ()) -> None:
    """Note this process as the supervisor of ``stack_id``, and its children.

    Args:
        children: ``{"name", "pid", "created", "command", "port"}`` each.
    """
    write_json(
        folders.processes_file,
        {
            "stack_id": stack_id,
            "folder": _folder_identity(folders),
            "supervisor": identity(os.getpid()),
            "children": list(children),
        },
    )


def _recorded(folders: Folders) -> dict[str, Any] | None:
    """The record of these folders' own stack; a record that was copied along with its folder is of somebody else's."""
    state = read_json(folders.processes_file)
    return state if state and state.get("folder") == _folder_identity(folders) else None


def supervisor(folders: Folders) -> psutil.Process | None:
    """The live supervisor of the stack in these folders."""
    state = _recorded(folders)
    return running(state.get("supervisor") or {}) if state else None


def _ours(state: dict[str, Any]) -> list[psutil.Process]:
    found = {process.pid: process for process in marked(str(state.get("stack_id")))}
    for record in state.get("children", []):
        process = running(record)
        if process is not None:
            found[process.pid] = process
            for descendant in process.children(recursive=True):
                found[descendant.pid] = descendant
    return list(found.values())


def _gone(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    deadline = time.monotonic() + timeout_s
    remaining = list(processes)
    while remaining and time.monotonic() < deadline:
        time.sleep(0.05)
        remaining = [p for p in remaining if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return remaining


def end_leftovers(folders: Folders, *, grace_s: float = 3.0) -> int:
    """End what a stack without a supervisor has left, and forget it; returns how many processes that were.

    The kernel has told the children already that their parent died, so they get a moment to end by themselves
    (PostgreSQL in an orderly way) before they are killed.
    """
    state = _recorded(folders)
    count = 0
    if state is not None:
        left = _ours(state)
        count = len(left)
        for process in _gone(left, grace_s):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        _gone(_ours(state), grace_s)
    folders.processes_file.unlink(missing_ok=True)
    folders.stack_file.unlink(missing_ok=True)
    folders.env_file.unlink(missing_ok=True)
    return count
