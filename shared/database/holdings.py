"""What an account holds, against what its plan allows: counted where it is stored, by whoever stores it.

Each is asked after what is new was inserted, by whoever holds the account's row lock since an earlier statement: what
is one too many is gone with the transaction. Counted no further than it matters.
"""

from typing import Literal

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.errors import ConflictError

_SQL = queries("holdings")

Kind = Literal["threads", "assistants", "api_keys"]
_WORDS: dict[Kind, str] = {"threads": "threads", "assistants": "assistants", "api_keys": "good API keys"}


async def admit(connection: Connection, kind: Kind, *, account_id: str) -> int | None:
    """See to it that the account has not too many of ``kind``; returns how many it may have.

    Raises:
        ConflictError: it has; the detail has the limit's name.
    """
    row = await connection.fetchrow(_SQL[kind], account_id)
    assert row is not None, "an account with something has a row"  # noqa: S101
    return _within(row["plan_id"], f"max_{kind}", row["most"], row["held"], f"has {row['most']} {_WORDS[kind]}")


async def admit_version(connection: Connection, versions: int, *, account_id: str) -> None:
    """See to it that an assistant may have so many versions. Raises as :func:`admit`."""
    row = await connection.fetchrow(_SQL["versions"], account_id)
    assert row is not None, "an account with something has a row"  # noqa: S101
    most = row["most"]
    _within(row["plan_id"], "max_assistant_versions", most, versions, f"has an assistant with {most} versions")


async def admit_files(connection: Connection, *, account_id: str, account_part: str) -> None:
    """See to it that the account has not too many files, nor bytes of them; what is about to be one counts.

    Raises as :func:`admit`.
    """
    row = await connection.fetchrow(_SQL["files"], account_id, account_part)
    assert row is not None, "an account with something has a row"  # noqa: S101
    _within(row["plan_id"], "max_files", row["max_files"], row["held"], f"has {row['max_files']} files")
    most = row["max_stored_bytes"]
    _within(row["plan_id"], "max_stored_bytes", most, row["bytes"], f"would have more than {most} bytes of files")


async def admit_bytes(connection: Connection, *, account_id: str) -> None:
    """See to it that the account's messages and configurations are no more bytes than its plan allows.

    Raises as :func:`admit`.
    """
    row = await connection.fetchrow(_SQL["bytes"], account_id)
    assert row is not None, "an account with something has a row"  # noqa: S101
    most = row["most"]
    words = f"would have more than {most} bytes of messages and configurations"
    _within(row["plan_id"], "max_record_bytes", most, row["held"], words)


def _within(plan_id: str, limit: str, most: int | None, held: int, words: str) -> int | None:
    if most is not None and held > most:
        raise ConflictError(
            f"this account {words}, which is all that its plan {plan_id!r} allows ({limit}): delete what is not needed",
            detail={"limit": limit, "plan": plan_id, limit: most},
        )
    return most
