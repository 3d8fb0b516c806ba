"""What accounts may use: their plans, which are rows (``plans``), and how much of it they use."""

from uuid import UUID

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.errors import LimitExceededError

_SQL = queries("plans")


async def lock_account(connection: Connection, *, account_id: str) -> int | None:
    """Lock the account's row; how many unfinished runs its plan allows, ``None`` if there is no such account (yet).

    Taken before any lock of a thread or run.
    """
    return await connection.fetchval(_SQL["lock_account"], account_id)


async def request_rate(connection: Connection, *, account_id: str) -> tuple[int, int]:
    """Requests a minute that the account's plan allows, and how many of them at once."""
    row = await connection.fetchrow(_SQL["request_rate"], account_id)
    assert row is not None  # noqa: S101 - accounts refer to their plans, and the default plan is made by a migration
    return row["requests_per_minute"], row["request_burst"]


async def admit_run(connection: Connection, *, account_id: str, thread_id: UUID, limit: int) -> None:
    """See to it that one more run is within the account's ``limit``. The caller holds the account's row lock.

    Raises:
        LimitExceededError: it is not; the detail names the threads that the unfinished runs are on.
    """
    # A statement of its own: one that had waited for the lock would count what was there before it waited.
    row = await connection.fetchrow(_SQL["unfinished"], account_id, thread_id)
    if row is not None and row["runs"] >= limit:
        raise LimitExceededError(
            f"{row['runs']} runs of this account are unfinished, and its plan allows {limit}: wait for one to end,"
            " or stop one",
            detail={
                "running_thread_ids": sorted(str(thread_id) for thread_id in row["thread_ids"]),
                "running_count": row["runs"],
                "limit": limit,
            },
        )
