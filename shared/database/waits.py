"""Places of what waits, sends, or attempts a webhook: rows with a time, so that those of the dead are free again."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.errors import TooManyWaitsError

_SQL = queries("waits")


Kind = Literal["request", "sender", "webhook"]
"""What holds an environment of a function that all accounts share: a request that waits, a sender that posts, a
receiver that is asked to take a run's end."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place of an account, held until it is given back or its time is over."""

    account_id: str
    kind: Kind
    place: int
    wait_id: UUID


async def take(connection: Connection, *, account_id: str, for_s: float, kind: Kind = "request") -> Place:
    """A place for at most ``for_s`` seconds. Outside of a transaction: whoever comes next has to see it.

    Raises:
        TooManyWaitsError: as many of ``kind`` are there for the account as its plan allows.
    """
    wait_id = uuid4()
    while True:
        row = await connection.fetchrow(_SQL["take"], account_id, wait_id, for_s, kind)
        assert row is not None  # noqa: S101 - accounts refer to their plans, and the default plan is made by a migration
        if row["place"] is not None:
            return Place(account_id=account_id, kind=kind, place=row["place"], wait_id=wait_id)
        if not row["was_free"]:
            raise TooManyWaitsError.of(plan_id=row["plan_id"], limit=row["most"], next_s=row["next_s"])


async def give_back(connection: Connection, place: Place) -> None:
    """The request waits no more."""
    await connection.execute(_SQL["give_back"], place.account_id, place.place, place.wait_id, place.kind)
