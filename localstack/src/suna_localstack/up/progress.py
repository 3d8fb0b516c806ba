"""Start-up phases: the supervisor reports them as JSON lines, the command in front of it prints them."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Generator
from typing import IO, Any

from suna_localstack.up.console import say


class Progress:
    """Writes phases to a pipe; a reader that has gone away is no error."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def _send(self, message: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")
        except OSError:
            self._descriptor = None

    @contextlib.contextmanager
    def phase(self, name: str) -> Generator[list[str]]:
        """Time a phase; text appended to the list it gives is shown beside its name."""
        started = time.monotonic()
        detail: list[str] = []
        self._send({"begin": name})
        yield detail
        self._send({"end": name, "seconds": time.monotonic() - started, "detail": ", ".join(detail)})

    def ready(self, seconds: float) -> None:
        self._send({"ready": seconds})

    def failed(self, message: str) -> None:
        self._send({"failed": message})

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def show(reader: IO[str]) -> tuple[float | None, str | None]:
    """Print phases from ``reader`` as they end; returns the seconds to readiness, or what failed."""
    under_way: list[str] = []
    terminal = sys.stdout.isatty()

    def status() -> None:
        if terminal:
            say(f"\r\x1b[2K  … {', '.join(under_way)}" if under_way else "\r\x1b[2K", end="")

    for line in reader:
        message = json.loads(line)
        if "begin" in message:
            under_way.append(message["begin"])
        elif "end" in message:
            under_way.remove(message["end"])
            clear = "\r\x1b[2K" if terminal else ""
            text = f"{clear}  {message['end']:<12} {message['seconds']:6.1f} s  {message['detail']}"
            say(text.rstrip())
        elif "ready" in message:
            under_way.clear()
            status()
            return float(message["ready"]), None
        elif "failed" in message:
            under_way.clear()
            status()
            return None, str(message["failed"])
        status()
    return None, None
