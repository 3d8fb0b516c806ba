"""Every test, whatever fails before: ``make test``. The last line is ``tests: N passed, M failed``.

Two rows of steps go side by side: most of what a test takes, it waits. A step comes after another in its row where it
needs what that has made or starts the stack of the same folder, and so that both rows take about as long. What a step
says is kept in ``.local/reports/<step>.log`` until it ends, or two would be mixed. What each took, and which tests were
the slowest, is printed at the end.

In continuous integration (``CI`` is set) it is measured what of functions and shared the unit and integration tests
execute.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from scripts import test_report

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / ".local/reports"
LOCK = ROOT / ".local/test.lock"
DEV, LOCAL = (str(ROOT / f".local/venvs/{name}/bin/python") for name in ("dev", "localstack"))
ROWS = (("web", "check", "e2e", "browser"), ("api-clients", "infra", "localstack", "integration"))
# What a user has set for a stack of their own is not the tests' business; neither is the make that calls this.
_NOT_PASSED_ON = {"PORT", "MODEL", "DATABASE_URL", "REDIS_URL", "MSG", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}


def _measured(step: str) -> list[str]:
    if not os.environ.get("CI"):
        return []
    return ["coverage", "run", f"--data-file={REPORTS}/coverage.{step}", "--source=functions,shared", "-m"]


def _tests(python: str, step: str, *measured: str) -> list[str]:
    return [python, "-m", *measured, "pytest", f"tests/{step}", f"--junit-xml={REPORTS}/{step}.xml"]


def command(step: str) -> list[str]:
    """What a step runs."""
    match step:
        case "check":
            return ["make", "--no-print-directory", "check", f"COVERAGE={' '.join(_measured(step))}"]
        case "api-clients":
            return [DEV, "-m", "scripts.api_clients"]
        case "web":
            return ["sh", "-c", "scripts/web.sh && cd clients/web && npm run --silent test"]
        case "localstack":
            return _tests(LOCAL, step)
        case "integration":
            services = [LOCAL, "-m", "suna_localstack.up", "with-services", "--"]
            return [*services, *_tests(DEV, step, *_measured(step))]
        case _:
            return _tests(DEV, step)


class Rows:
    """The steps while they go. ``ended``: somebody wants them to end: what is begun cleans up, nothing else begins."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._running: set[asyncio.subprocess.Process] = set()
        self.ended = False

    def end(self) -> None:
        """As Ctrl-C does, so that stacks are taken down; whoever asks again does not wait for that."""
        number = signal.SIGKILL if self.ended else signal.SIGINT
        self.ended = True
        for process in self._running:
            # One that has just ended, and is not known to have.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    async def run(self) -> None:
        """All of them."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.end)
        await asyncio.gather(*(self._row(row) for row in ROWS))

    async def _row(self, steps: tuple[str, ...]) -> None:
        for step in steps:
            if not self.ended:
                await self._step(step)

    async def _step(self, step: str) -> None:
        print(f"=== {step} has begun", flush=True)
        began = time.monotonic()
        log = REPORTS / f"{step}.log"
        with log.open("wb") as written:
            process = await asyncio.create_subprocess_exec(
                *command(step),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
            code = await process.wait()
            self._running.discard(process)
        if code:
            (REPORTS / f"failed.{step}").touch()
        took = round(time.monotonic() - began)
        (REPORTS / f"{step}.seconds").write_text(f"{took}\n", encoding="utf-8")
        print(f"\n=== {step}\n{log.read_text(encoding='utf-8', errors='replace')}=== {step}: {took} s", flush=True)


def _coverage() -> None:
    """How much the unit and integration tests execute."""
    data = f"--data-file={REPORTS}/coverage"
    found = [str(path) for path in REPORTS.glob("coverage.*")]
    subprocess.run([DEV, "-m", "coverage", "combine", "--quiet", data, *found], cwd=ROOT, check=True)
    said = subprocess.run(
        [DEV, "-m", "coverage", "report", data, "--format=total"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    print(f"\ncoverage of functions and shared by unit and integration tests: {said.stdout.strip()} %")


def main() -> int:
    """Run every step, and report."""
    node = subprocess.run([ROOT / "scripts/find-node.sh"], capture_output=True, text=True, check=False)
    if node.returncode:
        print(node.stderr.strip(), file=sys.stderr)
        return 1
    lock = LOCK.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("error: `make test` is running in this clone already: wait for it, or end it", file=sys.stderr)
        return 1
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    began = time.monotonic()
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    path = f"{node.stdout.strip()}:{os.environ['PATH']}"
    rows = Rows({**kept, "PATH": path, "COVERAGE_CORE": "sysmon"})
    version = test_report.version()
    asyncio.run(rows.run())
    if rows.ended:
        print("ended before the tests were", file=sys.stderr)
        return 130
    steps = [step for row in ROWS for step in row]
    if os.environ.get("CI"):
        try:
            _coverage()
        except subprocess.CalledProcessError as error:
            print(f"error: coverage cannot be told: {error}", file=sys.stderr)
    return test_report.main(REPORTS, steps=steps, seconds=time.monotonic() - began, version=version)


if __name__ == "__main__":
    sys.exit(main())
