"""Ids and timestamps in the shapes that API Gateway uses."""

import base64
import binascii
import secrets
from datetime import UTC, datetime

_CONNECTION_ID_BYTES = 11
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def new_id() -> str:
    """Return a fresh request, message or connection id like `R0oXAdfD0kwCH6w=` (11 random bytes, URL-safe base64)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_CONNECTION_ID_BYTES)).decode()


def is_connection_id(text: str) -> bool:
    """Say whether `text` has the shape of a connection id; it may still name no connection."""
    try:
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == _CONNECTION_ID_BYTES
    except (binascii.Error, ValueError):
        return False


def new_trace_id(epoch_ms: int) -> str:
    """Return an X-Ray root such as `Root=1-5e9f0c65-1de4d666d4dd26aced652b6c`."""
    return f"Root=1-{epoch_ms // 1000:08x}-{secrets.token_hex(12)}"


def request_time(epoch_ms: int) -> str:
    """Format as common log time, `21/Apr/2020:15:08:21 +0000`, independent of the locale."""
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return f"{moment:%d}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S +0000}"


def iso_time(epoch_ms: int) -> str:
    """Format as ISO 8601 with milliseconds, `2020-04-21T15:08:21.067Z`."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
