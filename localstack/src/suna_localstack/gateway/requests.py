"""The part of an incoming HTTP request that events are built from, apart from any server library."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from suna_localstack.gateway.identifiers import new_id, new_trace_id


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRequest:
    """One request or upgrade.

    `path` is URL-decoded, `raw_query` is as it was sent without `?`, `headers` keep order, case and repeats.
    """

    method: str
    path: str
    raw_query: str
    headers: tuple[tuple[str, str], ...]
    protocol: str
    source_ip: str
    port: int
    request_id: str = field(default_factory=new_id)
    epoch_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def header(self, name: str) -> str:
        """Return the first value of a header, empty if it is absent; `name` in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def query(self) -> list[tuple[str, str]]:
        """Return the decoded query parameters in order, blank ones included."""
        return parse_qsl(self.raw_query, keep_blank_values=True)

    def forwarded_headers(self) -> list[tuple[str, str]]:
        """Return the headers that API Gateway's front adds."""
        earlier = self.header("x-forwarded-for")
        return [
            ("X-Amzn-Trace-Id", self.header("x-amzn-trace-id") or new_trace_id(self.epoch_ms)),
            ("X-Forwarded-For", f"{earlier}, {self.source_ip}" if earlier else self.source_ip),
            ("X-Forwarded-Port", str(self.port)),
            ("X-Forwarded-Proto", "http"),
        ]


FORWARDED_NAMES = frozenset({"x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"})


def joined_by_comma(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join the values of repeated names with commas, as payload format 2.0 does."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Collect the values of repeated names in lists, as the `multiValue...` fields do."""
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups
