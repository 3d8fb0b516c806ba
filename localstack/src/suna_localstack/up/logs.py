"""All log files as one stream, each line with its source in front."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_COLOURS = (36, 33, 32, 35, 34, 31, 96, 93, 92, 95)
_POLL_S = 0.2
_TAIL_BYTES = 16 * 1024


@dataclass
class _Source:
    path: Path
    inode: int
    position: int
    rest: bytes = b""


class LogStream:
    """Follows every ``*.log`` of a folder; files may appear, grow, be truncated or replaced at any time."""

    def __init__(self, folder: Path, *, tail_bytes: int = _TAIL_BYTES) -> None:
        self._folder = folder
        self._tail_bytes = tail_bytes
        self._sources: dict[Path, _Source] = {}
        self._first = True

    def poll(self) -> Iterator[tuple[str, str]]:
        """``(source, line)`` for everything written since the last call."""
        for path in sorted(self._folder.rglob("*.log")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            source = self._sources.get(path)
            if source is None or source.inode != status.st_ino or status.st_size < source.position:
                # Of what was there before, only the end; of what appears while we follow, everything.
                start = max(0, status.st_size - self._tail_bytes) if self._first else 0
                source = self._sources[path] = _Source(path, status.st_ino, start)
                skip_partial = start > 0
            else:
                skip_partial = False
            yield from self._read(source, skip_partial=skip_partial)
        self._first = False

    def _read(self, source: _Source, *, skip_partial: bool) -> Iterator[tuple[str, str]]:
        try:
            with source.path.open("rb") as file:
                file.seek(source.position)
                data = file.read()
        except FileNotFoundError:
            return
        source.position += len(data)
        lines = (source.rest + data).split(b"\n")
        source.rest = lines.pop()
        for line in lines[1 if skip_partial else 0 :]:
            yield source.path.stem, line.decode(errors="replace")


def follow(folder: Path, *, forever: bool, stopped: Callable[[], bool] = lambda: False) -> None:
    """Print the logs of ``folder``; with ``forever``, until interrupted."""
    colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    colours: dict[str, int] = {}
    stream = LogStream(folder)
    while True:
        for name, line in stream.poll():
            prefix = f"{name:<16} | "
            if colourful:
                colour = colours.setdefault(name, _COLOURS[len(colours) % len(_COLOURS)])
                prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
            sys.stdout.write(f"{prefix}{line}\n")
        sys.stdout.flush()
        if not forever or stopped():
            return
        time.sleep(_POLL_S)
