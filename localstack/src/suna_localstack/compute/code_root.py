"""A function's code on disk, and whether it has changed."""

import contextlib
import importlib.util
import os
import threading
from pathlib import Path

type Fingerprint = dict[str, tuple[int, int]]
"""File -> (mtime in ns, size in bytes)."""


class CodeRoot:
    """Folder of a function's code.

    Of a hot-reload folder the directories behind its symbolic links are watched: what is linked is a source tree,
    what is not is installed once.
    """

    def __init__(self, path: Path, *, hot_reload: bool) -> None:
        self.path = path
        self._hot_reload = hot_reload
        self._lock = threading.Lock()
        self._fingerprint = self._scan()
        self.generation = 0
        """Grows by one with each change that ``refresh`` has seen."""

    def refresh(self) -> int:
        """Look at the watched files; return the generation of the code as it is now."""
        with self._lock:
            seen = self._scan()
            if seen != self._fingerprint:
                for file in seen:
                    if seen[file] != self._fingerprint.get(file):
                        _drop_bytecode(file)
                self._fingerprint = seen
                self.generation += 1
            return self.generation

    def _scan(self) -> Fingerprint:
        found: Fingerprint = {}
        if self._hot_reload:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if entry.is_symlink() and entry.is_dir():
                        _scan_into(found, entry.path)
        return found


def _scan_into(found: Fingerprint, folder: str) -> None:
    # What an editor writes, moves and removes meanwhile is seen the next time.
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__pycache__" or entry.name.endswith("~"):
                continue
            if entry.is_dir(follow_symlinks=False):
                _scan_into(found, entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat()
                    found[entry.path] = (status.st_mtime_ns, status.st_size)


def _drop_bytecode(file: str) -> None:
    """Bytecode is checked by mtime in whole seconds and size: two saves in one second would run the first one's."""
    if file.endswith(".py"):
        Path(importlib.util.cache_from_source(file)).unlink(missing_ok=True)
