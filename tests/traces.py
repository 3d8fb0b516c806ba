"""Where the database still knows an account, whatever tables there are."""

import asyncpg

type Connection = "asyncpg.Connection[asyncpg.Record]"

_OF_ACCOUNTS = """
SELECT table_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'account_id' ORDER BY table_name
"""
_TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
"""


async def tables_of_accounts(connection: Connection) -> set[str]:
    """The tables that have a column for the account."""
    return {row["table_name"] for row in await connection.fetch(_OF_ACCOUNTS)}


async def traces(connection: Connection, *ids: str) -> dict[str, int]:
    """Table -> how many of its rows hold one of these ids, in whatever column; tables without one are left out."""
    found: dict[str, int] = {}
    for row in await connection.fetch(_TABLES):
        table = row["table_name"]
        matching = f"SELECT count(*) FROM {table} AS held WHERE held::text LIKE ANY ($1::text[])"  # noqa: S608 - as above
        count = await connection.fetchval(matching, [f"%{one}%" for one in ids])
        if count:
            found[table] = count
    return found
