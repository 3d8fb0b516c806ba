"""The end of a run, what passes by itself, and what was accepted."""

from tests.mutants import Mutant

_ENDS = "tests/integration/test_run_ends.py"
_TROUBLE = "tests/integration/test_holding_trouble.py"
_LOOP = "tests/integration/loop/test_regressions.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a run whose events get no numbers has lost its lease",
        "shared/stream/publisher.py",
        "            self.failure = error\n",
        "            _ = error\n",
        f"{_TROUBLE}::test_without_numbers_a_run_is_given_back_and_not_a_crash",
    ),
    Mutant(
        "a run that is told in the middle of its model that there are no numbers has lost its lease",
        "shared/runs/holding.py",
        "                    raise publisher.failure from None\n",
        "                    raise\n",
        f"{_TROUBLE}::test_without_numbers_a_run_is_given_back_and_not_a_crash",
    ),
    Mutant(
        "numbers are not waited for",
        "shared/stream/appender.py",
        "if loop.time() + wait_s > ends_at:",
        "if ends_at:",
        "tests/unit/test_publisher.py::test_numbers_are_waited_for_as_long_as_the_hold_can",
    ),
    Mutant(
        "a lease that PostgreSQL was away for is left to end as a crash",
        "shared/runs/holding.py",
        "gives_back = lease.unreachable",
        "gives_back = False",
        f"{_TROUBLE}::test_a_lease_that_could_not_be_renewed_is_given_back",
    ),
    Mutant(
        "a run that holds the event loop up is no crash",
        "shared/runs/holding.py",
        "gives_back = lease.unreachable",
        "gives_back = True",
        f"{_TROUBLE}::test_a_lease_that_could_not_be_renewed_is_given_back",
    ),
    Mutant(
        "what has become of a run is seen after minutes",
        "shared/runs/settle.py",
        "_LONGEST_WAIT_S = 60.0\n",
        "_LONGEST_WAIT_S = 300.0\n",
        "tests/integration/test_settle.py::test_what_becomes_of_a_run_is_seen_within_a_minute",
    ),
    Mutant(
        "a silent server is asked for each of a batch",
        "functions/api/watch/main.py",
        "(_AWAY, None) if away else await _look(",
        "await _look(",
        "tests/integration/test_watch.py::test_a_batch_comes_back_in_time_while_postgresql_is_silent",
    ),
    Mutant(
        "a statement that is not answered is an error of ours",
        "shared/database/pool.py",
        "    TimeoutError,\n",
        "",
        "tests/integration/test_pool.py::test_a_statement_that_nothing_is_answered_to_is_a_database_that_is_away",
    ),
    Mutant(
        "what a pool says takes the place of a cancellation",
        "shared/database/pool.py",
        "    try:\n        await pool.release(taken)\n    except Exception:\n",
        "    try:\n        await pool.release(taken)\n    except KeyError:\n",
        "tests/integration/test_pool.py::test_who_is_cancelled_while_postgresql_is_silent_ends_and_as_cancelled",
    ),
    Mutant(
        "who is cancelled waits for a server that is silent",
        "shared/database/pool.py",
        "        async with asyncio.timeout(CONNECT_TIMEOUT_S):\n            await begun.rollback()\n",
        "        await begun.rollback()\n",
        "tests/integration/test_pool.py::test_who_is_cancelled_while_postgresql_is_silent_ends_and_as_cancelled",
    ),
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
    Mutant(
        name="a thread is deleted by what was there before its lock",
        file="shared/database/threads.py",
        old='    await connection.fetchval(_SQL["lock"], thread_id, account_id)\n    generation',
        new="    generation",
        test="tests/integration/test_stores.py::test_a_run_that_is_accepted_while_its_thread_is_deleted_stays",
    ),
    Mutant(
        name="a summary is written while what it covers is deleted",
        file="shared/context/manager.py",
        old="            writing=lambda: holding(claim, and_thread=True),\n",
        new="            writing=lambda: holding(claim),\n",
        test="tests/integration/context/test_deleted_meanwhile.py"
        "::test_a_summary_is_void_when_what_it_covers_is_deleted_while_it_is_written",
    ),
    Mutant(
        name="a run from an older checkpoint is appended",
        file="shared/database/checkpoints.py",
        old="    if named and set(named) != ",
        new="    if not named and {None} != ",
        test="tests/integration/test_thread_states.py"
        "::test_a_run_from_the_newest_checkpoint_is_no_fork_and_one_from_another_is_refused",
    ),
    Mutant(
        name="a command's goto and update are passed over",
        file="functions/api/runs.py",
        old="    if unsupported is not None:\n",
        new="    if unsupported is not None and body.command is None:\n",
        test="tests/integration/test_thread_states.py::test_what_a_command_cannot_do_is_refused_by_name",
    ),
    Mutant(
        name="an outage on the workflow's path ends its runs",
        file="infra/constructs/workflow.py",
        old="            step.add_catch(fail, errors=list(DEFECTS), result_path=",
        new='            step.add_catch(fail, errors=["States.TaskFailed", *UNAVAILABLE], result_path=',
        test="tests/infra/test_workflow.py::test_an_outage_ends_the_execution_and_not_the_run",
    ),
    Mutant(
        name="Lambda's own passing errors are not waited for",
        file="infra/constructs/workflow.py",
        old='    "Lambda.ResourceNotReadyException",\n',
        new="",
        test="tests/infra/test_workflow.py::test_what_passes_by_itself_is_waited_for",
    ),
    Mutant(
        name="outages are counted as crashes of the run",
        file="shared/runs/holding.py",
        old="        await _release(claim, within_s=delivery_s())\n",
        new="        _ = _release\n",
        test=f"{_LOOP}::test_outages_that_have_nothing_to_do_with_the_run_are_not_poison",
    ),
    Mutant(
        name="crashes are counted on after progress",
        file="functions/runner/transcript.py",
        old="            await progressed(connection, self._claim)\n",
        new="",
        test=f"{_LOOP}::test_deaths_of_a_run_that_gets_further_each_time_are_not_poison",
    ),
    Mutant(
        name="what was taken back goes through the queue of poison",
        file="shared/runs/settle.py",
        old='    await queue.send("retry" if crashed else "runs", message)\n',
        new='    await queue.send("retry", message)\n',
        test="tests/integration/test_settle.py::test_a_hand_over_that_nobody_woke_up_for_is_taken_back",
    ),
    Mutant(
        name="a run's waiting counts as running",
        file="shared/database/sql/runs.sql",
        old=" - claimed.waited_s AS running_s",
        new=" AS running_s",
        test="tests/integration/test_claim.py::test_waiting_is_not_running",
    ),
    Mutant(
        name="a call that may not be repeated is begun without the time for it",
        file="functions/runner/tool_execution.py",
        old=" or self._longest_s(function) <= budget.left_s\n",
        new=" or self._longest_s(function) > 0\n",
        test=f"{_LOOP}::test_a_call_that_may_not_be_repeated_waits_for_an_executor_that_has_time_for_it",
    ),
)
