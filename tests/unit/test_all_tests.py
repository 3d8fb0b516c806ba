"""``make test`` itself: a step that does not come to its end has failed, and whoever ends it ends all of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scripts import test as all_tests
from scripts import test_report

ROWS = (("first", "second"), ("third",))
_PASSED = '<testsuites><testsuite tests="2" failures="0" errors="0"/></testsuites>'
# A program whose steps are these, in a folder of its own.
_PROGRAM = """
import sys
from pathlib import Path
from scripts import test as all_tests
all_tests.REPORTS = Path(sys.argv[1])
all_tests.ROWS = (("first", "second"), ("third",))
texts = dict(zip(("first", "second", "third"), sys.argv[2:], strict=True))
all_tests.command = lambda step: ["sh", "-c", texts[step]]
all_tests.LOCK = Path(sys.argv[1] + ".lock")
sys.exit(all_tests.main())
"""


def _passes(reports: Path, step: str) -> str:
    return f"echo '{_PASSED}' >{reports}/{step}.xml; echo said by {step}"


def _started(reports: Path, **texts: str) -> subprocess.Popen[str]:
    every = [texts.get(step, _passes(reports, step)) for row in ROWS for step in row]
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(reports), *every],
        cwd=all_tests.ROOT,
        env={name: value for name, value in os.environ.items() if name != "CI"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_every_step_is_run_and_says_what_it_says(tmp_path: Path) -> None:
    run = _started(tmp_path / "reports")
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert all(f"said by {step}" in said for step in ("first", "second", "third"))
    assert said.splitlines()[-1] == "tests: 6 passed, 0 failed"


@pytest.mark.parametrize("broken", ["exit 1", "kill -9 $$", "true"])
def test_a_step_that_fails_or_reports_nothing_fails_the_whole_and_stops_no_other(tmp_path: Path, broken: str) -> None:
    run = _started(tmp_path / "reports", first=broken)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "FAILED: first\n" in said
    assert "said by second" in said


def test_a_step_that_was_never_begun_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "first.xml").write_text(_PASSED)
    (tmp_path / "first.seconds").write_text("1\n")
    code = test_report.main(tmp_path, steps=["first", "second"], seconds=1, version=None)
    assert (code, "FAILED: second\n" in capsys.readouterr().out) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whoever_ends_it_ends_its_steps_which_clean_up(tmp_path: Path, number: signal.Signals) -> None:
    reports = tmp_path / "reports"
    cleans = (
        f"trap 'echo cleaned >{tmp_path}/cleaned; exit 1' INT; echo $$ >{tmp_path}/pid; while :; do sleep 0.1; done"
    )
    run = _started(reports, first=cleans)
    _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    run.send_signal(number)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert (tmp_path / "cleaned").exists()
    assert "=== second" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_second_one_is_refused(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    first = _started(reports, first=f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/end ]; do sleep 0.1; done")
    _until((tmp_path / "begun").exists)
    second = _started(reports)
    said, _ = second.communicate(timeout=60)
    assert (second.returncode, "is running in this clone already" in said) == (1, True)
    (tmp_path / "end").touch()
    first.communicate(timeout=60)


def test_the_version_tells_what_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert test_report.version() is None
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "kept").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    seen = [test_report.version()]
    for name, text in (("kept", "2"), ("kept", "3"), ("new", "1"), ("new", "2")):
        (tmp_path / name).write_text(text)
        seen.append(test_report.version())
    assert len(set(seen)) == len(seen)


def _until(holds: Any) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")
