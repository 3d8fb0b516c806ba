"""How long an executor may still work on a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

# Kept back for handing over: the last commit, StartExecution, and the delivery of what is on its way.
RESERVE_S = 8.0
LOW_S = 60.0


@dataclass(frozen=True)
class Budget:
    """A deadline by the monotonic clock, with the reserve already taken off."""

    deadline: float
    total_s: float
    reserve_s: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of_function(cls, remaining_s: float, *, clock: Callable[[], float] = time.monotonic) -> Self:
        """The budget of a function that is ended in ``remaining_s``; short-lived ones keep back a third."""
        reserve_s = min(RESERVE_S, remaining_s / 3)
        usable_s = remaining_s - reserve_s
        return cls(clock() + usable_s, usable_s, reserve_s, clock)

    def at_most(self, seconds: float | None) -> "Budget":
        """This budget, or ``seconds`` from now if that is less."""
        if seconds is None:
            return self
        seconds = min(seconds, self.left_s)
        return Budget(self.clock() + seconds, seconds, self.reserve_s, self.clock)

    @property
    def left_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.deadline - self.clock())

    @property
    def closing_s(self) -> float:
        """Seconds that delivery may still take at the end: up to three quarters of the reserve."""
        return max(0.0, self.deadline - self.clock() + self.reserve_s * 0.75)

    @property
    def low(self) -> bool:
        """Whether what is left is better not begun with: a turn that is cut off is paid for twice."""
        return self.left_s <= min(LOW_S, self.total_s / 4)
