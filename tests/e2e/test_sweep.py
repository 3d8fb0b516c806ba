"""The schedule of the deployed stack: what is old goes, whatever nobody asks for."""

import uuid

import asyncpg

from tests.e2e.conftest import RunningStack
from tests.e2e.following import eventually

# The local stage sweeps once a minute; its rule begins when it is deployed.
_WITHIN_S = 150


async def test_the_schedule_has_what_is_old_removed_and_nothing_else(stack: RunningStack, account_id: str) -> None:
    database: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(stack.fields["database_url"])
    old, young = uuid.uuid4().hex, uuid.uuid4().hex

    async def left() -> list[str]:
        rows = await database.fetch("SELECT key FROM idempotency_keys WHERE account_id = $1", account_id)
        return [row["key"] for row in rows]

    try:
        await database.executemany(
            "INSERT INTO idempotency_keys VALUES ($1, 'POST /threads', $2, '', 200, '{}', now() - $3::text::interval)",
            [(account_id, old, "25 hours"), (account_id, young, "23 hours")],
        )
        # WHEN nobody asks for anything
        await eventually(left, lambda keys: old not in keys, within_s=_WITHIN_S)
        assert await left() == [young]
    finally:
        await database.execute("DELETE FROM idempotency_keys WHERE account_id = $1", account_id)
        await database.close()
