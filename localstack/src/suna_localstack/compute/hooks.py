"""LocalStack's life cycle: entry points of ``localstack.hooks.*``; plux tells them apart by the function's name."""

from suna_localstack.lifecycle import on_infra_shutdown, on_runtime_create


@on_runtime_create()
def patch_compute() -> None:
    """Patch LocalStack's Lambda and SQS services."""
    from suna_localstack.compute import assignment, patches, sqs_timing  # noqa: PLC0415

    patches.stop_at_once()
    patches.pass_client_context()
    patches.poll_queues_concurrently()
    assignment.patch()
    sqs_timing.patch()


# Before the services are stopped, which would wait for running invocations.
@on_infra_shutdown(priority=100)
def stop_workers() -> None:
    """Kill every worker."""
    from suna_localstack.compute.process_groups import GROUPS  # noqa: PLC0415

    GROUPS.kill_all()
