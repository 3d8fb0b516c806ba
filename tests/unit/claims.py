"""Claims for tests that have no database."""

from typing import Any
from uuid import uuid4

from shared.domain import Claim


def new_claim(**changes: Any) -> Claim:
    """A fresh claim, with the first block of event numbers reserved."""
    fields: dict[str, Any] = {
        "agent_run_id": uuid4(),
        "thread_id": uuid4(),
        "generation": uuid4(),
        "account_id": "account",
        "number": 1,
        "executor": "queue",
        "attempt": 1,
        "crashes": 0,
        "handover_no": 0,
        "assistant_id": "agent",
        "model": None,
        "config": {},
        "epoch": 1,
        "last_seq": 0,
        "reserved_seq": 1000,
        "lease_s": 30.0,
        "running_s": 0.0,
    }
    return Claim(**{**fields, **changes})
