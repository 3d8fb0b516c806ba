"""Which API a path of the local gateway means, where AWS would tell by host name.

`/@http/{api}/...` and `/@ws/{api}/{stage}` name one; every other path means the stack's own APIs. An upgrade on
`/threads/{thread}/stream` or `.../stream/events` goes to the WebSocket API with the thread in its query, as the edge
in front of the cloud's APIs does it.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode

_HTTP = re.compile(r"^/@http/(?P<api>[^/]+)(?P<path>/.*)?$")
_WEBSOCKET = re.compile(r"^/@ws/(?P<api>[^/]+)/(?P<stage>[^/]+)/?$")
_MANAGEMENT = re.compile(r"^(?:/@ws/(?P<api>[^/]+)/(?P<stage>[^/]+))?/@connections/(?P<connection>[^/]+)$")
_THREAD_STREAM = re.compile(r"^/threads/(?P<thread>[^/]+)/stream(?:/events)?$")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes. `path` (HTTP) is still encoded; ids are decoded; None means "the stack's own"."""

    kind: Literal["http", "websocket", "management"]
    api_id: str | None = None
    stage: str | None = None
    path: str = "/"
    connection_id: str = ""
    thread_id: str | None = None


def resolve(raw_path: str, *, is_upgrade: bool) -> Address | None:
    """Resolve an encoded path without its query; None where an upgrade has no WebSocket API."""
    if match := _MANAGEMENT.match(raw_path):
        return Address(
            "management", api_id=match["api"], stage=match["stage"], connection_id=unquote(match["connection"])
        )
    if is_upgrade:
        if match := _WEBSOCKET.match(raw_path):
            return Address("websocket", api_id=match["api"], stage=unquote(match["stage"]))
        if match := _THREAD_STREAM.match(raw_path):
            return Address("websocket", thread_id=unquote(match["thread"]))
        return Address("websocket") if raw_path in ("", "/") else None
    if match := _HTTP.match(raw_path):
        return Address("http", api_id=match["api"], path=match["path"] or "/")
    return Address("http", path=raw_path or "/")


def with_thread(raw_query: str, thread_id: str) -> str:
    """Return the query with `thread_id` set; one that the client sent itself is replaced."""
    pairs = [pair for pair in parse_qsl(raw_query, keep_blank_values=True) if pair[0] != "thread_id"]
    return urlencode([*pairs, ("thread_id", thread_id)])
