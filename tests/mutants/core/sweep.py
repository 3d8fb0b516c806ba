"""What grows without end goes, and nothing else does."""

from tests.mutants import Mutant

_SWEEP = "tests/integration/test_sweep.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="facts are swept that the log has not got",
        file="shared/database/sql/sweep.sql",
        old="    WHERE logged_at IS NOT NULL AND created_at",
        new="    WHERE created_at",
        test=f"{_SWEEP}::test_what_is_too_old_goes_and_nothing_else",
    ),
    Mutant(
        name="two sweeps wait for each other",
        file="shared/database/sql/sweep.sql",
        old="ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED\n))\n\n-- name: idempotency_keys",
        new="ORDER BY created_at LIMIT $1 FOR UPDATE\n))\n\n-- name: idempotency_keys",
        test=f"{_SWEEP}::test_what_another_sweep_removes_is_left_to_it",
    ),
    Mutant(
        name="a server that is away is waited for with each kind",
        file="functions/api/watch/sweep.py",
        old="if away == _MOST_AWAY:",
        new="if False:",
        test=f"{_SWEEP}::test_a_database_that_is_away_is_not_waited_for_with_each_kind",
    ),
    Mutant(
        name="a kind that there is much of takes all the time",
        file="functions/api/watch/sweep.py",
        old="            if removed:\n                swept[kind] = swept.get(kind, 0) + removed\n",
        new="            while removed:\n                swept[kind] = swept.get(kind, 0) + removed\n"
        "                removed = await remove()\n",
        test=f"{_SWEEP}::test_a_kind_that_there_is_much_of_keeps_none_waiting",
    ),
    Mutant(
        name="a sweep goes on beside the next one",
        file="functions/api/watch/sweep.py",
        old="    if age_s >= message.next_in_s:\n",
        new="    if age_s < 0:\n",
        test=f"{_SWEEP}::test_when_the_next_sweep_has_come_the_one_before_is_over",
    ),
    Mutant(
        name="what is old is looked for row by row",
        file="shared/database/sql/sweep.sql",
        old="logged_at IS NOT NULL AND created_at < now() - interval",
        new="logged_at IS NOT NULL AND created_at < clock_timestamp() - interval",
        test=f"{_SWEEP}::test_what_is_old_is_looked_for_in_an_index",
    ),
    Mutant(
        name="objects of deleted accounts wait for somebody's request",
        file="functions/api/watch/sweep.py",
        old='    "objects": remove_objects,\n',
        new="    **({} if remove_objects else {}),\n",
        test=f"{_SWEEP}::test_the_watch_function_sweeps_and_says_what",
    ),
    Mutant(
        name="events of a deleted run whose message was lost stay",
        file="functions/api/watch/sweep.py",
        old='    "events_of_runs": remove_deleted_events,\n',
        new="",
        test="tests/integration/test_deleted_runs.py::test_events_whose_message_was_lost_are_swept",
    ),
)
