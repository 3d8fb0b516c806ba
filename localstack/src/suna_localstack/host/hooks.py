"""LocalStack's life cycle: entry points of ``localstack.hooks.*``; plux tells them apart by the function's name."""

from localstack.runtime import hooks


@hooks.on_runtime_create()
def patch_host() -> None:
    """Patch the runtime before it is made."""
    from suna_localstack.host import patches  # noqa: PLC0415

    patches.serve_plain_http_on_configured_host()
