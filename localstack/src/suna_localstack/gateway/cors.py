"""An HTTP API's CORS configuration: the gateway answers preflights and owns the headers of every other answer."""

from collections.abc import Mapping

from suna_localstack.gateway.apis import Document

CORS_HEADERS = frozenset(
    f"access-control-{name}"
    for name in ("allow-origin", "allow-methods", "allow-headers", "allow-credentials", "expose-headers", "max-age")
)


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Say whether a request is a CORS preflight; `headers` has lower-case names."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_headers(cors: Document, origin: str) -> dict[str, str]:
    """Return the headers of the 204 that answers a preflight; none if the origin is not allowed."""
    headers = _origin_headers(cors, origin)
    if not headers:
        return {}
    for field, name in (("allowMethods", "allow-methods"), ("allowHeaders", "allow-headers")):
        if cors.get(field):
            headers[f"access-control-{name}"] = ",".join(cors[field])
    if cors.get("maxAge") is not None:
        headers["access-control-max-age"] = str(cors["maxAge"])
    return headers


def response_headers(cors: Document, origin: str | None) -> dict[str, str]:
    """Return the headers added to an integration's answer, in place of any CORS headers of its own."""
    headers = _origin_headers(cors, origin) if origin else {}
    if headers and cors.get("exposeHeaders"):
        headers["access-control-expose-headers"] = ",".join(cors["exposeHeaders"])
    return headers


def _origin_headers(cors: Document, origin: str) -> dict[str, str]:
    allowed: list[str] = cors.get("allowOrigins") or []
    if not any(_origin_matches(pattern, origin) for pattern in allowed):
        return {}
    headers = {"access-control-allow-origin": "*" if "*" in allowed else origin}
    if "*" not in allowed:
        headers["vary"] = "origin"
    if cors.get("allowCredentials"):
        headers["access-control-allow-credentials"] = "true"
    return headers


def _origin_matches(pattern: str, origin: str) -> bool:
    """`*`, `https://*` and `http://*` are the wildcards AWS takes."""
    return origin.startswith(pattern[:-1]) if pattern.endswith("*") else origin.lower() == pattern.lower()
