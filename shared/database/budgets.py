"""What runs and accounts have used of models, and what their plans allow: tokens, and US dollars as prices are known.

Used is what providers report of their answers, and of those that were not taken to their end what we count
(``shared.context.charging``). A budget is looked at between answers, so that the last one may exceed it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from uuid import UUID

import asyncpg

from shared.allowed import Allowed
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import Json
from shared.errors import BudgetExceededError, NotFoundError
from shared.storable import jsonb

_SQL = queries("budgets")

CODE = "budget_exceeded"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is used, and what may be; ``None``: as much as there is."""

    tokens: int
    max_tokens: int | None
    cost_usd: float
    max_cost_usd: float | None

    @property
    def spent(self) -> str | None:
        """What there is no more of, in words; ``None``: nothing."""
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            return f"{self.tokens} tokens, and the account's plan allows {self.max_tokens}"
        if self.max_cost_usd is not None and self.cost_usd >= self.max_cost_usd:
            return f"{self.cost_usd:.4g} USD, and the account's plan allows {self.max_cost_usd:g} USD"
        return None


@dataclass(frozen=True, kw_only=True)
class Day:
    """An account's day (UTC)."""

    budget: Budget
    resets_at: datetime

    def admit_run(self) -> None:
        """See to it that the day's budget is not spent.

        Raises:
            BudgetExceededError: it is; the message says what is spent and when it resets, the detail likewise.
        """
        message = self._problem
        if message is None:
            return
        left_s = (self.resets_at - datetime.now(UTC)).total_seconds()
        raise BudgetExceededError(
            message,
            retry_after_s=max(1, round(left_s)),
            detail={
                "tokens": self.budget.tokens,
                "max_tokens": self.budget.max_tokens,
                "cost_usd": self.budget.cost_usd,
                "max_cost_usd": self.budget.max_cost_usd,
                "resets_at": self.resets_at.isoformat(),
            },
        )

    @property
    def error(self) -> Json | None:
        """The error of a run that cannot go on today; ``None``: it can."""
        message = self._problem
        return None if message is None else {"code": CODE, "message": message}

    @property
    def _problem(self) -> str | None:
        spent = self.budget.spent
        if spent is None:
            return None
        return f"this account has used {spent} a day: come back at {self.resets_at.isoformat()}"


@dataclass(frozen=True, kw_only=True)
class Spending:
    """A run's budget, its account's day, and what else its plan says of answers: how many calls of one are executed,
    and what its agent may name.
    """

    run: Budget
    day: Day
    max_answer_tool_calls: int
    allowed: Allowed

    @property
    def bounds_money(self) -> bool:
        """Whether the plan does: then only models with a price may answer."""
        return self.run.max_cost_usd is not None or self.day.budget.max_cost_usd is not None

    @property
    def error(self) -> Json | None:
        """The error of a run that has spent its budget, or its account the day's; ``None``: it may go on."""
        spent = self.run.spent
        if spent is None:
            return self.day.error
        message = f"this run has used {spent} a run: go on with another run, on a shorter thread or with smaller steps"
        return {"code": CODE, "message": message}


def _day(row: asyncpg.Record) -> Day:
    resets_on: date = row["resets_on"]
    return Day(
        budget=Budget(
            tokens=row["day_tokens"],
            max_tokens=row["max_day_tokens"],
            cost_usd=row["day_cost_usd"],
            max_cost_usd=row["max_day_cost_usd"],
        ),
        resets_at=datetime.combine(resets_on, time(), UTC),
    )


async def of_day(connection: Connection, *, account_id: str) -> Day:
    """The account's day.

    Raises:
        NotFoundError: there is no such account.
    """
    row = await connection.fetchrow(_SQL["of_day"], account_id)
    if row is None:
        raise NotFoundError(f"account {account_id!r} not found")
    return _day(row)


async def of_run(connection: Connection, *, account_id: str, thread_id: UUID, run_number: int) -> Spending:
    """What the thread's run of that number has spent, and its account today.

    Raises:
        NotFoundError: there is no such account.
    """
    row = await connection.fetchrow(_SQL["of_run"], account_id, thread_id, run_number)
    if row is None:
        raise NotFoundError(f"account {account_id!r} not found")
    run = Budget(
        tokens=row["run_tokens"],
        max_tokens=row["max_run_tokens"],
        cost_usd=row["run_cost_usd"],
        max_cost_usd=row["max_run_cost_usd"],
    )
    return Spending(
        run=run,
        day=_day(row),
        max_answer_tool_calls=row["max_answer_tool_calls"],
        allowed=Allowed(models=row["models"], provider_keys=row["provider_keys"]),
    )


async def charge_unkept(
    connection: Connection, *, answer_id: UUID, account_id: str, thread_id: UUID, run_number: int, charge: Json
) -> None:
    """Charge an answer that no message is kept of with its run; to do so again changes nothing.

    ``answer_id``: the message's that it would have been. Not fenced: whoever holds the run by now, this was spent.
    """
    await connection.execute(_SQL["charge_unkept"], answer_id, thread_id, account_id, run_number, jsonb(charge))
