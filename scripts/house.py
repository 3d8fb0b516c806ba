"""Whether the house is in order: ``make house``, after ``make test``.

The last line is JSON: ``type_errors``, ``layers_broken``, ``raw_errors_outside``, ``openapi_errors``,
``clients_compiled`` (of 2), ``smoked_commands`` (those of the README's table that the last ``make test`` has called) of
``commands``, ``test_minutes`` and ``tests`` (of the same). Before it: which it has not called, and why. Exits with 1 if
anything is wrong, or if a command was not called that could have been.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.test_report import version
from tests.commands import TRIED, Elsewhere, readme_commands, smoked

ROOT = Path(__file__).parents[1]
_REPORT = ROOT / ".local/reports/report.json"


def _last_line(module: str) -> dict[str, Any]:
    """The JSON that a check ends with; what else it says is printed.

    Raises:
        RuntimeError: it has not come to its end.
    """
    done = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False)
    *said, last = done.stdout.splitlines() or [""]
    for line in said:
        print(line)
    try:
        return json.loads(last)
    except ValueError as error:
        raise RuntimeError(f"{module} failed: {last}{done.stderr}") from error


def _layers_broken() -> int:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = re.search(r"Contracts: \d+ kept, (\d+) broken", done.stdout)
    if found is None:
        raise RuntimeError(f"lint-imports failed: {done.stdout}{done.stderr}")
    if done.returncode:
        print(done.stdout)
    return int(found[1])


def main() -> int:
    """Check, and print the line."""
    if not _REPORT.exists():
        print(
            "error: run `make test` first: what it took and how many tests there were is part of this", file=sys.stderr
        )
        return 1
    report = json.loads(_REPORT.read_text(encoding="utf-8"))
    if report["failed_steps"]:
        print(f"failed in the last `make test`: {', '.join(report['failed_steps'])}")
    if report["version"] != version():
        print(f"the last `make test` was of {report['version']}, this is {version()}: run it again")
    commands = readme_commands()
    called = smoked(_REPORT.parent, commands)
    missed = 0
    for command in [command for command in commands if command not in called]:
        how = TRIED.get(command)
        if isinstance(how, Elsewhere):
            print(f"make {command}: not called by `make test`: {how.reason} ({how.by})")
        else:
            print(f"make {command}: not called, or failed, in the last `make test` (tests/commands.py)")
            missed += 1
    figures: dict[str, Any] = {
        **_last_line("scripts.types"),
        "layers_broken": _layers_broken(),
        **_last_line("scripts.raw_errors"),
        **_last_line("scripts.api_clients"),
        "smoked_commands": len(called),
        "commands": len(commands),
        "test_minutes": report["minutes"],
        "tests": report["tests"],
    }
    wrong = [name for name in ("type_errors", "layers_broken", "raw_errors_outside", "openapi_errors") if figures[name]]
    print(json.dumps(figures))
    is_stale = report["failed"] or report["failed_steps"] or report["version"] != version()
    return 1 if wrong or missed or figures["clients_compiled"] != 2 or is_stale else 0


if __name__ == "__main__":
    sys.exit(main())
