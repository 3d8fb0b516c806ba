"""What the unit tests share: they open nothing, so that all of them together take seconds."""

from uuid import uuid4

import pytest

from shared.domain import Claim


@pytest.fixture
def claim() -> Claim:
    """A fresh claim, with the first block of event numbers reserved."""
    return Claim(
        agent_run_id=uuid4(),
        thread_id=uuid4(),
        account_id="account",
        number=1,
        executor="queue",
        attempt=1,
        handover_no=0,
        assistant_id="agent",
        model=None,
        config={},
        epoch=1,
        last_seq=0,
        reserved_seq=1000,
        lease_s=30.0,
    )
