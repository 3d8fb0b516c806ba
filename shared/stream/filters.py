"""What a subscription wants of a thread's events: channels, and where in the tree of agents."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain import Json
from shared.errors import InvalidRequestError
from shared.events import TO_ALL, Logged

# Of all that a connection wants: whoever serves the thread reads it again and again, and an item holds 400 KB.
MOST_STORED = 65_536
_CUSTOM = "custom"


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One subscription: ``namespaces`` are prefixes, ``None`` for all; ``depth``: how far below them."""

    subscription_id: str
    channels: frozenset[str]
    namespaces: tuple[tuple[str, ...], ...] | None = None
    depth: int | None = None

    def matches(self, event: Logged) -> bool:
        """Whether the event is wanted; what goes to all is."""
        if event.channel == TO_ALL:
            return True
        if event.channel not in self.channels and not (event.channel == _CUSTOM and self._wants_name(event)):
            return False
        return self.namespaces is None or self._wants_namespace(event)

    def _wants_name(self, event: Logged) -> bool:
        """``custom:<name>`` wants the custom events of that name."""
        return f"{_CUSTOM}:{event.told.name}" in self.channels

    def _wants_namespace(self, event: Logged) -> bool:
        namespace = event.told.namespace
        deepest = len(namespace)
        prefixes = self.namespaces or ()
        return any(
            namespace[:length] in prefixes and (self.depth is None or deepest - length <= self.depth)
            for length in range(deepest + 1)
        )

    def stored(self) -> Json:
        """As JSON."""
        return {
            "id": self.subscription_id,
            "channels": sorted(self.channels),
            "namespaces": self.namespaces,
            "depth": self.depth,
        }

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Filter":
        """From JSON."""
        namespaces = stored["namespaces"]
        return cls(
            subscription_id=stored["id"],
            channels=frozenset(stored["channels"]),
            namespaces=None if namespaces is None else tuple(tuple(prefix) for prefix in namespaces),
            depth=stored["depth"],
        )


def stored(filters: Sequence[Filter]) -> str:
    """A connection's filters as JSON."""
    return json.dumps([one.stored() for one in filters])


def require_room(filters: Sequence[Filter], *, most: int) -> None:
    """See to it that a connection may have all these.

    Raises:
        InvalidRequestError: they are more than ``most``, or have more than ``MOST_STORED`` bytes.
    """
    if len(filters) > most:
        raise InvalidRequestError(
            f"this connection has {most} subscriptions already: end one, or open another connection"
        )
    if (length := len(stored(filters))) > MOST_STORED:
        raise InvalidRequestError(
            f"this connection's subscriptions would have {length} bytes, of {MOST_STORED} that they may have: name"
            " fewer channels and namespaces, end a subscription, or open another connection"
        )


def wanted(filters: Iterable[Filter], event: Logged) -> bool:
    """Whether any of them wants the event: a connection gets it once, however many do."""
    return any(one.matches(event) for one in filters)
