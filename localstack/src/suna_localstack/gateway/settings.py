"""What can be set about the data plane, read from the environment in this module only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self, cast

_PREFIX = "SUNA_GATEWAY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Quotas of API Gateway with AWS's values, and where the gateway listens.

    Every field can be set as `SUNA_GATEWAY_<NAME>`; sizes are bytes, times seconds, rates per second.
    Sources: the AWS pages "Quotas for HTTP APIs" and "Quotas for WebSocket APIs".
    """

    port: int = 0
    """0 takes a free port."""
    stack: str = "suna-local"
    """The CloudFormation stack whose APIs answer on paths that name no API."""
    page_folder: str = ""
    """Folder of the built chat page, served under `/app`; empty for none."""
    page_config: str = ""
    """File served as the page's `config.json`; it may be written after the gateway has started."""

    request_line_and_headers_bytes: int = 10_240
    request_body_bytes: int = 10 * 1024 * 1024
    invocation_payload_bytes: int = 6 * 1024 * 1024
    """AWS Lambda's limit for a synchronous invocation's event and answer."""
    http_timeout_s: float = 30.0

    websocket_url_chars: int = 4_096
    websocket_frame_bytes: int = 32 * 1024
    websocket_message_bytes: int = 128 * 1024
    websocket_idle_s: float = 600.0
    websocket_lifetime_s: float = 7_200.0
    websocket_timeout_s: float = 29.0
    websocket_connect_rate: float = 500.0
    websocket_connect_burst: int = 500
    websocket_close_s: float = 5.0
    """How long the client may take to answer a close frame."""
    websocket_write_buffer_bytes: int = 1024 * 1024
    """What may wait for one slow client, beyond the kernel's socket buffer. AWS does not publish its figure."""
    websocket_concurrency: int = 16
    """Messages of one connection that may be in their functions at once; later ones wait. AWS sets no limit."""

    request_rate: float = 10_000.0
    request_burst: int = 5_000
    """HTTP requests, WebSocket messages and callbacks draw from one budget, as an AWS account's do."""

    concurrency: int = 400
    """Invocations under way at once, over all functions."""
    disconnect_concurrency: int = 32
    """`$disconnect` invocations under way at once: they are best effort and must not starve requests."""
    shutdown_s: float = 5.0
    """How long `$disconnect` may take when the gateway stops."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read every field from its variable; an unset or empty variable keeps the default.

        Raises
        ------
        ValueError
            A number is malformed; the message names the variable.
        """
        defaults = cls()
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = _PREFIX + field.name.upper()
            convert = cast(type[int | float | str], type(getattr(defaults, field.name)))
            try:
                if raw := environment.get(name):
                    values[field.name] = convert(raw)
            except ValueError as error:
                raise ValueError(f"{name}={environment[name]!r} is not a valid {convert.__name__}") from error
        return replace(defaults, **values)
