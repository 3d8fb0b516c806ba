"""What a sender posts from: an execution that goes on, or the log as it was when somebody looked."""

from typing import Protocol

from shared.domain import ThreadLog
from shared.events import Logged


class Source(Protocol):
    """Where a sender's events come from: ``log``, and what is at hand.

    It calls the sender's ``look`` when it has more, or is closing.
    """

    log: ThreadLog

    async def newest_after(self, cursor: int) -> int | None:
        """The newest event's number, if there is one after ``cursor``."""
        ...

    def reaches(self, cursor: int) -> bool:
        """Whether the tail begins right after ``cursor``, so that the log need not be asked."""
        ...

    def tail_after(self, cursor: int) -> list[Logged]:
        """The events after ``cursor`` that are at hand."""
        ...

    @property
    def closing(self) -> bool:
        """Whether there will be no more events, so that no later append declares what the log lacks now."""
        ...
