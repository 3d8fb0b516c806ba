"""What models cost, and what their providers say."""

from tests.mutants import Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "what was asked for and given up is not charged",
        "functions/runner/turn.py",
        "        if not self._asked:",
        "        if self._asked or not self._asked:",
        "tests/integration/loop/test_charges.py",
    ),
    Mutant(
        "what came before a cut is not counted",
        "functions/runner/response_processor.py",
        "                response.received += _texts(choice.delta)\n",
        "",
        "tests/integration/loop/test_charges.py::test_an_answer_that_is_cut_off_is_charged_by_our_count",
    ),
    Mutant(
        "who loses the lease charges nothing",
        "functions/runner/execution.py",
        "                    await manager.lose()\n",
        "",
        "tests/integration/loop/test_charges.py",
    ),
    Mutant(
        "a summary that is dropped is not charged",
        "shared/context/summaries.py",
        "            if written is None:",
        "            if written is None and not task.charges:",
        "tests/integration/context/test_summaries.py::test_who_has_lost_the_lease_writes_nothing",
    ),
    Mutant(
        "a model without a price is had for nothing",
        "functions/runner/thread_manager.py",
        "(self._priceless() if spending.bounds_money else None)",
        "None",
        "tests/integration/loop/test_charges.py::test_a_model_without_a_price_answers_only_where_no_money_is_bounded",
    ),
    Mutant(
        "a model that is listed without a price has one",
        "shared/prices.py",
        '    return listed.get("input_cost_per_token") is not None',
        "    return listed is not None",
        "tests/unit/test_price.py",
    ),
    Mutant(
        "a deleted account gets another day",
        "shared/migrations/0018_spending.sql",
        "    IF FOUND OR OLD.plan_id <> 'default' THEN",
        "    IF OLD.plan_id <> 'default' THEN",
        "tests/integration/test_deletion.py::test_to_delete_an_account_gives_it_no_second_day",
    ),
    Mutant(
        "an operator's plan is forgotten with the account",
        "shared/migrations/0018_spending.sql",
        "    IF kept.plan_id IS NOT NULL AND NEW.plan_id = 'default' THEN",
        "    IF false THEN",
        "tests/integration/test_deletion.py::test_an_operators_plan_outlives_the_account",
    ),
    Mutant(
        "a provider's words are told in full",
        "shared/provider_errors.py",
        "    if in_full and not isinstance(",
        "    if not isinstance(",
        "tests/unit/test_provider_errors.py::test_each_status_has_a_code_and_a_sentence_without_a_word_of_the_providers",
    ),
    Mutant(
        "a provider's words are told unscrubbed",
        "shared/provider_errors.py",
        "        text = pattern.sub(instead, text)",
        "        text = text",
        "tests/unit/test_provider_errors.py::test_each_status_has_a_code_and_a_sentence_without_a_word_of_the_providers",
    ),
    Mutant(
        "logs have what exceptions say",
        "shared/telemetry.py",
        "logger.addFilter(_WithoutWords())\n",
        "",
        "tests/unit/test_telemetry.py",
    ),
    Mutant(
        "libraries log what others say",
        "shared/telemetry.py",
        "        logging.getLogger(name).setLevel(logging.CRITICAL + 1)",
        "        logging.getLogger(name)",
        "tests/unit/test_provider_errors.py::test_no_library_logs_what_others_say",
    ),
    Mutant(
        "logs have what the provider says",
        "functions/runner/thread_manager.py",
        '"model": attempt.model, **fields})',
        '"model": attempt.model, **fields, "text": str(error)})',
        "tests/integration/loop/test_provider_errors.py::test_no_word_of_a_providers_error_is_in_the_run_its_events_or_a_log",
    ),
    Mutant(
        "past days are kept for ever",
        "functions/api/watch/deletion.py",
        "limit=_SWEPT)\n        await accounts.forget_past_days(taken)\n",
        "limit=_SWEPT)\n",
        "tests/integration/test_deletion.py::test_what_a_deleted_account_had_used_is_forgotten_when_the_day_is_over",
    ),
)
