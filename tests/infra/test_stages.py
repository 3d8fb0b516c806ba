"""The stages' settings, and the contradictions that they refuse."""

import re
from dataclasses import replace

import pytest

from infra.stages import KEPT_FREE_CONNECTIONS, LARGE, LOCAL, SMALL, STAGES, Stage, StageError
from shared.migrate import MIGRATIONS


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_connections_of_every_function_at_full_concurrency_fit_the_database(stage: Stage) -> None:
    by_hand = sum(
        function.concurrency * ((function.pool_size or stage.postgres_pool_size) + function.lease_connections)
        for function in stage.functions.values()
    )

    assert stage.connections_needed == by_hand
    assert by_hand + KEPT_FREE_CONNECTIONS <= stage.max_connections


def test_executors_count_the_connection_that_renews_their_lease() -> None:
    for stage in STAGES.values():
        with_lease = {name for name, function in stage.functions.items() if function.lease_connections}
        assert with_lease == {"QueueRunner", "WorkflowRunner", "Summarizer"}


def test_an_environment_that_executes_many_runs_at_once_has_more_connections_than_one_that_executes_one() -> None:
    for stage in STAGES.values():
        assert stage.queues.runs_batch > 1
        assert stage.pool_size_of("QueueRunner") > stage.pool_size_of("WorkflowRunner") == stage.postgres_pool_size


def test_a_pool_too_large_for_the_cluster_is_refused() -> None:
    with pytest.raises(StageError, match="database connections"):
        replace(SMALL, postgres_pool_size=10)


def test_a_pausing_cluster_accepts_fewer_connections() -> None:
    assert LARGE.cloud is not None
    pausing = replace(LARGE.cloud.database, min_acu=0)

    assert pausing.max_connections < LARGE.cloud.database.max_connections


def test_event_sources_over_the_reserved_concurrency_are_refused() -> None:
    with pytest.raises(StageError, match="QueueRunner"):
        replace(LOCAL, queues=replace(LOCAL.queues, runs_concurrency=100))


def test_all_that_the_queues_side_executes_may_be_handed_over_at_once() -> None:
    # All of stage large would open more connections than a cluster takes: what finds no room there goes back to the
    # queue's side.
    for stage, share in ((SMALL, 1), (LARGE, 2)):
        at_once = stage.queues.runs_concurrency * stage.queues.runs_batch
        assert stage.functions["WorkflowRunner"].concurrency * share >= at_once


def test_a_lease_ends_before_the_workflow_is_given_up() -> None:
    for stage in STAGES.values():
        assert stage.lease_s < stage.wake_by_s


def test_half_of_an_accounts_default_concurrency_stays_free_with_stage_small() -> None:
    assert sum(function.concurrency for function in SMALL.functions.values()) <= 500


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize(("limit", "function"), [("max_waits", "Http"), ("max_senders", "Sender")])
def test_one_default_account_leaves_most_of_a_function_to_others(stage: Stage, limit: str, function: str) -> None:
    said = "".join(path.read_text(encoding="utf-8") for path in MIGRATIONS.glob("*.sql"))
    [most] = re.findall(rf"{limit} int NOT NULL DEFAULT (\d+)", said)

    assert 2 * int(most) < stage.functions[function].concurrency
