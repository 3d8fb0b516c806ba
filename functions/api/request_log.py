"""What a log line says of who has asked, and what the query was, with no secret in it."""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence

from shared.domain import Json

# The parameters that our routes have, and whose values may be seen. A list of what is secret would have to be right
# about every name that a client makes up; whoever is not in this one is masked.
_SHOWN = frozenset(
    {
        *("action", "before", "cancel_on_disconnect", "limit", "offset", "select"),
        *("status", "stream_mode", "thread_id", "version", "wait"),
    }
)
# Parameters whose names may be seen: that a client has sent one of them tells much, its value tells too much.
_NAMED = frozenset({"access_token", "api_key", "authorization", "key", "since", "ticket", "token"})
# No credential is that short: a ticket has 43 characters, a key and a token have more. A UUID has 36.
_PLAIN = re.compile(r"[\w.:,+-]{0,36}", re.ASCII)
_MASK = "***"
_MOST_ADDRESSES = 4


def request_fields(event: Json, query: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """Fields of the log lines of one request to API Gateway: ``client_ip``, ``forwarded_for``, ``query_params``.

    ``client_ip`` is the address that has connected to API Gateway, and no client can forge it. Behind the edge that is
    CloudFront's; ``forwarded_for`` then ends in the viewer's and CloudFront's. All before these two, and all of it
    where ``client_ip`` is not CloudFront's, is what the client says of itself.

    Args:
        event: an HTTP API's (payload 2.0) or a WebSocket API's.
        query: each parameter's values. Only names and values that cannot be a secret are shown; the names of
            parameters that nobody knows are not, since a name can be one too. ``None`` without parameters.
    """
    context: Json = event.get("requestContext") or {}
    source: Json = context.get("http") or context.get("identity") or {}
    headers: dict[str, str] = event.get("headers") or {}
    forwarded = next((value for name, value in headers.items() if name.lower() == "x-forwarded-for"), "")
    return {
        "client_ip": source.get("sourceIp"),
        "forwarded_for": _addresses(forwarded),
        "query_params": json.dumps(_shown(query)) if query else None,
    }


def _addresses(forwarded: str) -> str | None:
    """The last addresses of the header; anything else in it could be anything."""
    last = [part.strip() for part in forwarded[-500:].split(",")][-_MOST_ADDRESSES:]
    return ", ".join(part for part in last if _is_address(part)) or None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _shown(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, values in query.items():
        value = ",".join(values)
        if name in _SHOWN and _PLAIN.fullmatch(value):
            shown[name] = value
        else:
            shown[name if name in _SHOWN | _NAMED else _MASK] = _MASK
    return shown
