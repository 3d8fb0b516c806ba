"""What the unit tests share: they open nothing, so that all of them together take seconds."""

import pytest

from shared.domain import Claim
from tests.unit.claims import new_claim


@pytest.fixture
def claim() -> Claim:
    """A fresh claim."""
    return new_claim()
