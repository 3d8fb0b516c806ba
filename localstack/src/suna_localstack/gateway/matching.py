"""Which route serves a request (HTTP APIs) or a message (WebSocket APIs)."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from suna_localstack.json_types import is_object

_SELECTION = re.compile(r"^\$(?:\{request\.body\.(?P<braced>[^}]+)\}|request\.body\.(?P<plain>.+))$")


class RouteMatch(NamedTuple):
    """A route key and the path parameters it binds (values URL-decoded, greedy ones with their slashes)."""

    key: str
    path_parameters: dict[str, str]


class _Pattern(NamedTuple):
    method: str
    expression: re.Pattern[str]
    rank: tuple[int, ...]


@lru_cache(maxsize=4096)
def _compile(key: str) -> _Pattern:
    """Compile `GET /items/{id}`; of two matching keys the one with the smaller rank is more specific.

    Segments are compared from the left: a literal before a parameter before a greedy parameter. On equal paths a
    method wins over ANY.
    """
    method, _, path = key.partition(" ")
    parts: list[str] = []
    rank: list[int] = []
    for segment in path.strip("/").split("/"):
        if segment.startswith("{") and segment.endswith("+}"):
            parts.append(f"(?P<{segment[1:-2]}>.+)")
            rank.append(2)
        elif segment.startswith("{") and segment.endswith("}"):
            parts.append(f"(?P<{segment[1:-1]}>[^/]+)")
            rank.append(1)
        else:
            parts.append(re.escape(segment))
            rank.append(0)
    rank.append(1 if method == "ANY" else 0)
    return _Pattern(method, re.compile("/" + "/".join(parts) + "/?" if parts != [""] else "/"), tuple(rank))


def match_http_route(keys: Iterable[str], method: str, path: str) -> RouteMatch | None:
    """Return the most specific route of `keys` for `method` and the decoded `path`, `$default` last.

    Source: AWS, "Create routes for HTTP APIs": full match, then greedy path variable, then `$default`.
    """
    best: tuple[tuple[int, ...], RouteMatch] | None = None
    has_default = False
    for key in keys:
        if key == "$default":
            has_default = True
            continue
        pattern = _compile(key)
        if pattern.method not in ("ANY", method):
            continue
        found = pattern.expression.fullmatch(path)
        if found and (best is None or pattern.rank < best[0]):
            best = (pattern.rank, RouteMatch(key, found.groupdict()))
    if best:
        return best[1]
    return RouteMatch("$default", {}) if has_default else None


def select_websocket_route(routes: Mapping[str, Any], expression: str, body: str) -> str | None:
    """Evaluate the API's route selection expression on a message; `$default` if it selects no custom route.

    A body that is not JSON, that nests too deeply to parse, or that lacks the key goes to `$default`. Returns None
    when there is no `$default` either.
    """
    selected = _evaluate(expression, body)
    if selected is not None and selected in routes and not selected.startswith("$"):
        return selected
    return "$default" if "$default" in routes else None


def _evaluate(expression: str, body: str) -> str | None:
    match = _SELECTION.match(expression)
    if not match:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for name in (match["braced"] or match["plain"]).split("."):
        if not is_object(value):
            return None
        value = value.get(name)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None
