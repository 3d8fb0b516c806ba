"""What a log line says of who has asked, and what the query was, with no secret in it."""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api.stream_modes import STREAM_MODES
from shared.domain import Json

if TYPE_CHECKING:
    from starlette.types import Scope

_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_TRUTH = re.compile(r"true|false|[01]", re.IGNORECASE)
_STATUS = re.compile("all|busy|error|idle|interrupted|pending|running|success|timeout")
_ACTION = re.compile("interrupt|rollback")
_MODE = re.compile("|".join(re.escape(mode) for mode in sorted(STREAM_MODES)))
# The parameters of our routes whose values may be seen, and what they may be: a client puts a password anywhere. A list
# of what is secret would have to be right about every name that is made up; whoever is not in this one is masked.
_SHOWN: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("limit", "offset", "version"), _NUMBER),
    **dict.fromkeys(("before", "thread_id"), _UUID),
    **dict.fromkeys(("cancel_on_disconnect", "wait"), _TRUTH),
    "action": _ACTION,
    "status": _STATUS,
    "stream_mode": _MODE,
}
# Parameters whose names may be seen: that a client has sent one of them tells much, its value tells too much.
_NAMED = frozenset({"access_token", "api_key", "authorization", "key", "select", "since", "ticket", "token"})
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
    # What stands behind a % is the name of an interface, or anything.
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def path_of(scope: "Scope") -> str:
    """A request's path as its route writes it, with the ids that are UUIDs; masked where it has no route.

    As the client writes it, it may hold anything: the secret of the API key that is to be deleted.
    """
    route: Any = scope.get("route")
    if route is None:
        return _MASK
    path: str = route.path
    for name, value in scope.get("path_params", {}).items():
        if _UUID.fullmatch(str(value)):
            path = path.replace(f"{{{name}}}", str(value))
    return path


def _shown(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, values in query.items():
        may_be = _SHOWN.get(name)
        if may_be is not None and all(map(may_be.fullmatch, values)):
            shown[name] = ",".join(values)
        else:
            shown[name if name in _SHOWN or name in _NAMED else _MASK] = _MASK
    return shown
