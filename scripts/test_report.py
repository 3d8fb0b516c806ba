"""What a run of all tests took: by step, the ten slowest tests, and how many there were.

``python -m scripts.test_report FOLDER [SECONDS]`` reads the JUnit reports ``FOLDER/<step>.xml`` and the whole seconds
that each step took (``FOLDER/<step>.seconds``), prints them, and writes ``FOLDER/report.json``: ``{"minutes", "tests",
"failed", "failed_steps", "commit", "steps": {step: {"seconds", "tests", "failed"}}}``. A step has failed that left
``FOLDER/failed.<step>``, or that should have reported tests and has not. ``SECONDS``: what all steps took together.
"""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

_SLOWEST = 10
# Their last line says what they have done.
_WITHOUT_TESTS = {"api-clients", "web"}


def _number(suite: ElementTree.Element, *names: str) -> int:
    return sum(int(suite.get(name, 0)) for name in names)


def commit() -> str | None:
    """What is checked out, with ``+`` if it was changed since; ``None`` if this is no clone."""
    said = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or None


def main(folder: Path, seconds: float | None) -> int:
    """Print and write the report; 1 if a test failed or a step reported none."""
    steps: dict[str, dict[str, int]] = {}
    slowest: list[tuple[float, str]] = []
    for timed in sorted(folder.glob("*.seconds"), key=lambda file: file.stat().st_mtime):
        step = timed.stem
        steps[step] = {"seconds": int(timed.read_text()), "tests": 0, "failed": 0}
        report = folder / f"{step}.xml"
        if not report.exists():
            continue
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - as above
            steps[step]["tests"] += _number(suite, "tests")
            steps[step]["failed"] += _number(suite, "failures", "errors")
            for case in suite.iter("testcase"):
                slowest.append((float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}"))
    tests, failed = (sum(step[name] for step in steps.values()) for name in ("tests", "failed"))
    total = seconds or sum(step["seconds"] for step in steps.values())
    print("\nseconds  tests  step")
    for step, counted in steps.items():
        print(f"{counted['seconds']:7}  {counted['tests']:5}  {step}")
    print(f"\nthe {_SLOWEST} slowest tests (seconds, with their fixtures)")
    for took, name in sorted(slowest, reverse=True)[:_SLOWEST]:
        print(f"{took:7.1f}  {name}")
    failed_steps = {mark.name.removeprefix("failed.") for mark in folder.glob("failed.*")}
    failed_steps |= {step for step, counted in steps.items() if not counted["tests"] and step not in _WITHOUT_TESTS}
    written = {
        "minutes": round(total / 60, 1),
        "tests": tests,
        "failed": failed,
        "failed_steps": sorted(failed_steps),
        "commit": commit(),
        "steps": steps,
    }
    (folder / "report.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"\n{total / 60:.1f} minutes")
    print(f"tests: {tests - failed} passed, {failed} failed")
    return 1 if failed or failed_steps or not tests else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None))
