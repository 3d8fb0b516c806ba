"""How long what should happen at once may take before anybody looks after it."""

from shared.settings import settings

_SHORTEST_S = 5.0


def patience_s() -> float:
    """Seconds that a dispatched run may wait for its claim: half a lease."""
    return max(_SHORTEST_S, settings().lease_s / 2)
