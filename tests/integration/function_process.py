"""A function in a process of its own, as Lambda runs it: its own cold start, its own loop, one event after another."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 30.0
# The runner's imports take seconds of a whole CPU.
INIT_TIMEOUT_S = 120.0

# Answers go out where standard output was; what the function prints itself is its log.
_RUNTIME = """
import importlib, json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
class Context:
    function_name = "function"
    def get_remaining_time_in_millis(self):
        return 60_000
module, name = sys.argv[1].rsplit(".", 1)
handler = getattr(importlib.import_module(module), name)
for line in sys.stdin:
    event = json.loads(line)
    try:
        answer = {"answer": None if event is None else handler(event, Context())}
    except Exception as error:
        answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
    print(json.dumps(answer), file=answers, flush=True)
"""


class FunctionError(Exception):
    """The handler has raised."""


class FunctionProcess:
    """A running function."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def wait_until_ready(self) -> None:
        """Wait until it has initialised."""
        self.begin(None)
        self.answer(within_s=INIT_TIMEOUT_S)

    def begin(self, event: dict[str, Any] | None) -> None:
        """Have the handler begin with an event; its answer is :meth:`answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()

    def invoke(self, event: dict[str, Any]) -> Any:
        """The handler's answer to one event."""
        self.begin(event)
        return self.answer()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait(TIMEOUT_S)

    def end(self) -> int:
        """Have it end, as Lambda does between invocations; returns its exit code."""
        self._process.terminate()
        return self._process.wait(TIMEOUT_S)

    def answer(self, *, within_s: float = TIMEOUT_S) -> Any:
        """The handler's answer to the event that it has begun with."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], within_s)
        assert readable, f"no answer within {within_s} s: {self._log.read_text()[-2000:]}"
        line = self._process.stdout.readline()
        assert line, f"the process has ended: {self._log.read_text()[-2000:]}"
        told = json.loads(line)
        if "errorType" in told:
            raise FunctionError(f"{told['errorType']}: {told['errorMessage']}")
        return told["answer"]

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged, as far as that is JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def function_process(handler: str, environment: dict[str, str], folder: Path) -> Iterator[FunctionProcess]:
    """Start ``handler`` (a dotted path); it ends with its standard input."""
    path = folder / f"{handler}.log"
    with (
        path.open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", _RUNTIME, handler],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        ) as process,
    ):
        try:
            yield FunctionProcess(process, path)
        finally:
            process.terminate()
            process.wait(timeout=10)
