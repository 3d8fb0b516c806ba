"""LocalStack's life cycle: entry points of ``localstack.hooks.*``; plux tells them apart by the function's name."""

import threading

from suna_localstack.lifecycle import on_infra_ready, on_runtime_create


@on_runtime_create()
def patch_host() -> None:
    """Patch the runtime before it is made."""
    from suna_localstack.host import patches, threads, warmup  # noqa: PLC0415

    patches.serve_plain_http_on_configured_host()
    warmup.share_service_index()
    warmup.load_one_service_at_a_time()
    threads.forget_ended()


@on_infra_ready()
def warm_up() -> None:
    """Load the services in the background."""
    from suna_localstack.host import warmup  # noqa: PLC0415

    threading.Thread(target=warmup.load_services, name="warm-up", daemon=True).start()
