"""How a request's ``Idempotency-Key`` reaches whoever carries it out, over whatever interface it came."""

from collections.abc import Callable
from typing import Any, Protocol

from pydantic import BaseModel

from shared.database.idempotency import Once
from shared.domain import Json

type Answer = Callable[[Any], BaseModel | Json]
"""Makes a request's answer from what was recorded for it."""


class NewOnce(Protocol):
    """The request's key, if it has one, given how its answer is made and with which status."""

    def __call__(self, answer: Answer, /, *, status: int = 200) -> Once | None:
        """The key."""
        ...


def without_key(_answer: Answer, /, *, status: int = 200) -> None:
    """The request has no key."""
