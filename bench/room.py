"""Room for measurements: the default plan of a stack would refuse what they ask."""

import asyncpg


async def make_room(database_url: str) -> None:
    """Let the accounts of a local stack do as much, and as fast, as they like.

    A function that has just served the account knows of it within a minute.
    """
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "UPDATE plans SET max_unfinished_runs = 1000, requests_per_minute = 1000000, request_burst = 1000000,"
            " max_day_tokens = NULL, max_day_cost_usd = NULL, max_connections = NULL, max_thread_messages = NULL,"
            " max_waits = 1000, max_threads = NULL"
        )
    finally:
        await connection.close()
