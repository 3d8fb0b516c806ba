"""What counts as called by ``make test``: what its reports say has passed."""

from pathlib import Path

from tests.commands import CALLING, TRIED, Step, smoked

REPORT = f"""<testsuites><testsuite>
<testcase name="{CALLING}[up]"/>
<testcase name="{CALLING}[burst]"><failure message="TypeError"/></testcase>
<testcase name="{CALLING}[soak]"><skipped/></testcase>
<testcase name="{CALLING}[bench-log]"><error/></testcase>
<testcase name="test_what_is_called_is_what_the_command_runs[faults]"/>
</testsuite></testsuites>"""


def test_a_command_counts_whose_call_has_passed_or_whose_step_has(tmp_path: Path) -> None:
    (tmp_path / "e2e.xml").write_text(REPORT, encoding="utf-8")
    for name in ("check", "api-clients", "e2e"):
        (tmp_path / f"{name}.seconds").write_text("1", encoding="utf-8")
    (tmp_path / "failed.api-clients").touch()
    assert {how.name for how in TRIED.values() if isinstance(how, Step)} == {"check", "api-clients", "e2e"}
    commands = ["up", "burst", "soak", "bench-log", "faults", "house", "check", "api-clients", "cuts"]
    assert smoked(tmp_path, commands) == ["up", "check", "cuts"]
