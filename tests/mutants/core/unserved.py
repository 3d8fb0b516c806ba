"""Who is connected gets what there is, whoever cannot be woken for it, and however often senders fail."""

from tests.mutants import Mutant

_TESTS = "tests/integration/test_unserved.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "unserved: the watch of a settled run is over, whoever has heard its end",
        "shared/runs/settle.py",
        "        return await look_after_subscribers(thread_id=thread_id, account_id=account_id, since_s=since_s)\n",
        "        return Done()\n",
        f"{_TESTS}::test_an_end_that_nobody_could_be_woken_for_is_told_when_lambda_is_back",
    ),
    Mutant(
        "unserved: the watch is over when it has woken a sender",
        "shared/runs/settle.py",
        "return await look_after_subscribers(thread_id=thread_id, account_id=account_id, since_s=since_s, woken=True)",
        "return Done()",
        f"{_TESTS}::test_who_settles_a_dead_executors_run_comes_back_until_its_end_was_heard",
    ),
    Mutant(
        "unserved: who cannot be looked up lacks nothing",
        "shared/runs/settle.py",
        "        served = False\n",
        "        served = True\n",
        f"{_TESTS}::test_an_end_that_every_attempt_of_the_sender_fails_to_post_is_told_when_dynamodb_is_back",
    ),
    Mutant(
        "unserved: who cannot be looked up is waited for",
        "shared/stream/unserved.py",
        "asyncio.timeout(_LOOK_S)",
        "asyncio.timeout(None)",
        f"{_TESTS}::test_a_silent_dynamodb_does_not_take_the_time_of_what_else_is_watched",
    ),
    Mutant(
        "unserved: a sender is woken beside the one that posts",
        "shared/stream/unserved.py",
        "[one for one in lacking if not one.is_posted_to]",
        "lacking",
        f"{_TESTS}::test_who_is_posted_to_is_waited_for_and_nobody_woken_beside",
    ),
    Mutant(
        "unserved: who is over is waited for",
        "shared/stream/unserved.py",
        " and not one.is_over",
        "",
        f"{_TESTS}::test_nobody_is_woken_for_who_is_not_to_be_served",
    ),
    Mutant(
        "unserved: who watches a thread that was deleted is waited for",
        "shared/stream/unserved.py",
        " and one.generation in {None, position.log.generation}",
        "",
        f"{_TESTS}::test_nobody_is_woken_for_who_is_not_to_be_served",
    ),
    Mutant(
        "unserved: the watch wakes senders beside an executor",
        "shared/stream/unserved.py",
        "position is None or position.held or",
        "position is None or",
        f"{_TESTS}::test_nobody_is_woken_for_who_is_not_to_be_served",
    ),
    Mutant(
        "unserved: who subscribes is served if the first sender can",
        "functions/api/commands.py",
        "        if surely:\n            await wake.watch(",
        "        if not surely:\n            await wake.watch(",
        f"{_TESTS}::test_who_subscribes_while_nobody_can_be_woken_gets_what_there_is_when_somebody_can",
    ),
    Mutant(
        "unserved: who is not watched is told that it is",
        "functions/api/commands.py",
        "        if surely:\n            await wake.watch(",
        "        if not surely:\n            await wake.watch(",
        f"{_TESTS}::test_who_subscribes_where_nobody_would_come_is_told_to_try_again",
    ),
    Mutant(
        "unserved: the end of a run that is not due yet is watched when it would be",
        "shared/runs/stopping.py",
        "            await self._watch(self.ended[0].account_id)\n",
        "            pass\n",
        f"{_TESTS}::test_a_run_that_is_stopped_long_before_it_is_due_has_its_end_watched_at_once",
    ),
    Mutant(
        "unserved: what a deleted run leaves is told if the first sender can",
        "functions/api/watch/deleted_events.py",
        "    await wake.watch(thread_id=thread_id, account_id=message.account_id)\n",
        "",
        "tests/integration/test_deleted_runs.py::test_that_a_run_was_deleted_is_told_also_if_nobody_can_be_woken",
    ),
    Mutant(
        "unserved: a thread that cannot be served keeps others waiting",
        "functions/api/sender/main.py",
        "        except Exception as one:\n",
        "        except KeyError as one:\n",
        "tests/integration/test_sender_share.py"
        "::test_a_thread_that_cannot_be_served_keeps_no_other_waiting_and_is_not_tried_over_and_over",
    ),
    Mutant(
        "unserved: one of those that wait keeps the others waiting",
        "functions/api/sender/main.py",
        '    except Exception:\n        logger.exception("a thread could not be served"',
        '    except KeyError:\n        logger.exception("a thread could not be served"',
        "tests/integration/test_sender_share.py"
        "::test_a_thread_that_cannot_be_served_keeps_no_other_waiting_and_is_not_tried_over_and_over",
    ),
    Mutant(
        "unserved: a thread that cannot be served is nobody's failure",
        "functions/api/sender/main.py",
        "    if error is not None:\n        raise error\n",
        "    _ = error\n",
        "tests/integration/test_sender_share.py::test_whoever_fails_calls_the_next_one_for_what_came_meanwhile",
    ),
    Mutant(
        "unserved: whose thread it is waits for what strangers wrote",
        "shared/stream/unserved.py",
        "            if not lacking:\n                raise\n",
        "            raise\n",
        "tests/integration/test_sender_of_readers.py::test_whose_thread_it_is_is_looked_after_although_what_strangers_wrote_cannot_be_read",
    ),
)
