"""The end of a run, what passes by itself, and what was accepted."""

from tests.mutants import Mutant

_ENDS = "tests/integration/test_run_ends.py"
_LOOP = "tests/integration/loop/test_regressions.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="an end leaves the run's calls to the next one",
        file="shared/runs/ending.py",
        old='    await open_calls.answer(connection, row, keeps_questions=status == "needs_input", error=error)\n',
        new="    _ = open_calls\n",
        test=f"{_LOOP}::test_a_tool_that_kills_its_process_poisons_its_run_and_no_later_one",
    ),
    Mutant(
        name="an end leaves the calls that the run has a verdict on",
        file="shared/runs/open_calls.py",
        old="        return bool(_verdicts(config))\n",
        new="        return False\n",
        test=f"{_ENDS}::test_every_end_answers_what_the_run_made_began_or_has_a_verdict_for",
    ),
    Mutant(
        name="an end leaves calls of another run that this one has begun",
        file="shared/runs/open_calls.py",
        old='    return row["status"] == "running"\n',
        new="    return False\n",
        test=f"{_LOOP}::test_a_call_whose_run_was_stopped_is_executed_by_no_later_one",
    ),
    Mutant(
        name="what was wished before the end is forgotten",
        file="shared/runs/ending.py",
        old='    if requested is not None and (requested == "rollback" or status != "stopped"):\n',
        new='    if requested is None and status == "queued":\n',
        test=f"{_ENDS}::test_a_wish_that_was_accepted_before_the_end_is_done",
    ),
)
