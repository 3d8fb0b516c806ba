"""A number is not a place in the log."""

from tests.mutants import Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "whoever could not ask what is owed takes it for nothing",
        "shared/stream/appender.py",
        "        self._owed_unknown = True\n",
        "        self._owed_unknown = False\n",
        "tests/integration/test_owed_facts.py::test_the_next_runs_executor_tells_the_end_that_the_one_before_has_not",
    ),
    Mutant(
        "what is owed is asked for twice before the first token",
        "shared/stream/appender.py",
        "            if self._in_doubt:\n                await self._be_sure()\n",
        "            await self._be_sure()\n",
        "tests/unit/test_publisher.py::test_what_is_owed_is_asked_for_once",
    ),
    Mutant(
        "an executor takes a subscriber for served whose lease was lost",
        "shared/stream/delivery.py",
        " and task.exception() is None and task.result()",
        " and task.exception() is None",
        "tests/integration/test_sender.py::test_a_subscriber_whose_lease_is_lost_is_left_to_the_next_sender",
    ),
    Mutant(
        "the sender function takes a subscriber for served whose lease was lost",
        "functions/api/sender/serving.py",
        "if task.exception() is None and not task.result()]",
        "if False]",
        "tests/integration/test_sender.py::test_a_subscriber_whose_lease_is_lost_is_left_to_the_next_sender",
    ),
    Mutant(
        "a cursor that moves while more is subscribed stays where it is",
        "shared/stream/subscriptions.py",
        '            condition += " AND #cursor <= :since"\n',
        '            condition += " AND #cursor <> :since OR version = :known"\n',
        "tests/integration/test_subscriptions.py::test_a_cursor_that_moves_while_more_is_subscribed_is_moved_back",
    ),
    Mutant(
        "a subscription that was made again is taken for the one before",
        "shared/stream/subscriptions.py",
        "secrets.randbelow(2**40) if",
        "secrets.randbelow(1) if",
        "tests/integration/test_subscriptions.py::test_what_is_subscribed_outlives_what_is_written_beside_it",
    ),
    Mutant(
        "a cursor goes where the numbers end",
        "shared/stream/sender.py",
        "            if newest is None:\n                return True\n",
        "            if newest is None:\n                return True\n            if self._source.closing:\n"
        "                self._cursor = max(self._cursor, newest)\n                continue\n",
        "tests/integration/test_owed_facts.py",
    ),
    Mutant(
        "a gap is declared over facts that are owed",
        "shared/stream/sender.py",
        "before=begins, most=_READ_EVENTS)",
        "before=after + 1, most=_READ_EVENTS)",
        "tests/integration/test_owed_facts.py",
    ),
    Mutant(
        "facts that are owed are told up to a hole",
        "shared/database/sql/facts.sql",
        "WHERE logged_at IS NULL OR island = (",
        "WHERE island = (",
        "tests/integration/test_owed_facts.py::test_facts_that_a_dead_holder_has_numbered_are_told_by_who_comes_next",
    ),
    Mutant(
        "what was read before the cursor was moved is told after it",
        "shared/stream/sender.py",
        "            for event in found:\n                # Also",
        "            moves = self._moves\n            for event in found:\n                # Also",
        "tests/integration/test_moved_cursors.py::test_what_was_read_before_the_cursor_was_moved_back_is_read_again",
    ),
    Mutant(
        "a gap moves the cursor that was moved back meanwhile",
        "shared/stream/sender.py",
        "        if self._moves == moves:\n            self._cursor = last\n",
        "        self._cursor = last\n",
        "tests/integration/test_moved_cursors.py"
        "::test_what_is_declared_while_the_cursor_is_moved_back_is_declared_from_there",
    ),
    Mutant(
        "a lost reply is taken for nothing done",
        "shared/database/pool.py",
        "                committing = True\n",
        "                committing = False\n",
        "tests/integration/test_lost_commits.py",
    ),
    Mutant(
        "an event gets the number of a fact",
        "shared/stream/appender.py",
        "            self._in_doubt = True\n",
        "            self._in_doubt = False\n",
        "tests/integration/test_lost_commits.py",
    ),
    Mutant(
        "a log is given back with a number that a fact has",
        "shared/stream/appender.py",
        "        await self._be_sure()\n        by_seq",
        "        by_seq",
        "tests/integration/test_lost_commits.py",
    ),
    Mutant(
        "a declaration whose reply was lost is told to nobody",
        "shared/stream/appender.py",
        "                self._note_away()\n                return given\n            match",
        "                raise\n            match",
        "tests/integration/test_owed_facts.py::test_who_is_fed_by_the_executor_gets_declarations_whose_reply_was_lost",
    ),
    Mutant(
        "who is cut off from the database goes on",
        "shared/runs/lease.py",
        "        loop.call_at(lease.expires_at, self._expire, lease)\n",
        "",
        "tests/integration/test_lease_keeper.py"
        "::test_whoever_is_cut_off_from_the_database_has_lost_its_lease_before_another_has_it",
    ),
    Mutant(
        "the keeper keeps its first password",
        "shared/runs/lease.py",
        "                forget_credentials()\n",
        "",
        "tests/integration/test_lease_keeper.py::test_a_password_that_was_rotated_is_asked_for_again",
    ),
)
