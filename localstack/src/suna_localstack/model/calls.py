"""The record of requests that tests read at ``GET /calls``."""

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

_KEPT = 500


@dataclass
class CallRecord:
    """One request. Times are seconds since the epoch; ``outcome`` is ``cancelled`` when the client went away."""

    number: int
    body: dict[str, Any]
    started_at: float = field(default_factory=time.time)
    first_token_at: float | None = None
    finished_at: float | None = None
    first_delay_ms: float = 0.0
    tokens: int = 0
    status: int = 200
    outcome: Literal["running", "completed", "cancelled", "broken", "refused"] = "running"

    def saw_token(self, count: int = 1) -> None:
        if self.first_token_at is None:
            self.first_token_at = time.time()
        self.tokens += count

    def end(self, outcome: Literal["completed", "cancelled", "broken", "refused"]) -> None:
        self.finished_at = time.time()
        self.outcome = outcome


class CallLog:
    """The last 500 requests, and counters over all of them."""

    def __init__(self) -> None:
        self.count = 0
        self._records: deque[CallRecord] = deque(maxlen=_KEPT)
        self._failures: dict[str, int] = {}

    def open(self, body: dict[str, Any]) -> CallRecord:
        self.count += 1
        record = CallRecord(self.count, body)
        self._records.append(record)
        return record

    def failures(self, key: str) -> int:
        """How often ``key`` was asked for before; counts this time."""
        seen = self._failures.get(key, 0)
        self._failures[key] = seen + 1
        return seen

    def clear(self) -> None:
        self.count = 0
        self._records.clear()
        self._failures.clear()

    def view(self, *, contains: str = "", last: int = _KEPT) -> dict[str, Any]:
        """``{"count", "active", "calls": [...]}``, restricted to requests whose messages hold ``contains``."""
        chosen = [record for record in self._records if not contains or contains in str(record.body.get("messages"))]
        return {
            "count": len(chosen) if contains else self.count,
            "active": sum(record.outcome == "running" for record in chosen),
            "calls": [asdict(record) for record in chosen[-last:]],
        }
