"""What a run of all tests took: by step, the ten slowest tests, and how many there were.

Read from the JUnit reports ``FOLDER/<step>.xml`` and the whole seconds that each step took (``FOLDER/<step>.seconds``);
printed, and kept in ``FOLDER/report.json``: ``{"minutes", "tests", "failed", "failed_steps", "version", "steps": {step:
{"seconds", "tests", "failed"}}}``. A step has failed that left ``FOLDER/failed.<step>``, that never came to its end, or
that should have reported tests and has not.
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

_SLOWEST = 10
# Their last line says what they have done.
_WITHOUT_TESTS = {"api-clients", "web"}


def _number(suite: ElementTree.Element, *names: str) -> int:
    return sum(int(suite.get(name, 0)) for name in names)


def version() -> str | None:
    """The sources as they are: the commit, and a digest of what was changed since; ``None`` if this is no clone."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout

    try:
        commit = git("rev-parse", "--short", "HEAD").decode().strip()
        changed = git("diff", "HEAD")
        for name in filter(None, git("ls-files", "-z", "--others", "--exclude-standard").split(b"\0")):
            changed += name + Path(name.decode()).read_bytes()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+{hashlib.sha256(changed).hexdigest()[:12]}" if changed else commit


def main(folder: Path, *, steps: Sequence[str], seconds: float, version: str | None) -> int:
    """Print and write the report; 1 if a test failed, or one of ``steps`` did not come to its end or reported none.

    ``seconds``: what all steps took together; ``version``: of the sources when they began.
    """
    done: dict[str, dict[str, int]] = {}
    slowest: list[tuple[float, str]] = []
    for step in steps:
        timed = folder / f"{step}.seconds"
        if not timed.exists():
            continue
        done[step] = {"seconds": int(timed.read_text()), "tests": 0, "failed": 0}
        report = folder / f"{step}.xml"
        if not report.exists():
            continue
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - as above
            done[step]["tests"] += _number(suite, "tests")
            done[step]["failed"] += _number(suite, "failures", "errors")
            for case in suite.iter("testcase"):
                slowest.append((float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}"))
    tests, failed = (sum(step[name] for step in done.values()) for name in ("tests", "failed"))
    print("\nseconds  tests  step")
    for step, counted in done.items():
        print(f"{counted['seconds']:7}  {counted['tests']:5}  {step}")
    print(f"\nthe {_SLOWEST} slowest tests (seconds, with their fixtures)")
    for took, name in sorted(slowest, reverse=True)[:_SLOWEST]:
        print(f"{took:7.1f}  {name}")
    failed_steps = {mark.name.removeprefix("failed.") for mark in folder.glob("failed.*")}
    failed_steps |= set(steps) - done.keys()
    failed_steps |= {step for step, counted in done.items() if not counted["tests"] and step not in _WITHOUT_TESTS}
    written = {
        "minutes": round(seconds / 60, 1),
        "tests": tests,
        "failed": failed,
        "failed_steps": sorted(failed_steps),
        "version": version,
        "steps": done,
    }
    (folder / "report.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    if failed_steps:
        print(f"\nFAILED: {', '.join(sorted(failed_steps))}")
    print(f"\n{seconds / 60:.1f} minutes")
    print(f"tests: {tests - failed} passed, {failed} failed")
    return 1 if failed or failed_steps or not tests else 0
