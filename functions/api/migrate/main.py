"""The migration function: a CloudFormation custom resource, so that a deployment migrates or fails."""

import asyncio
import time
from typing import Any

import asyncpg

from shared.aws import custom_resource
from shared.database.pool import DirectConnection, connect_arguments
from shared.domain import Json
from shared.errors import DatabaseUnavailableError
from shared.migrate import migrate
from shared.process import run
from shared.settings import settings
from shared.telemetry import bound, logger

PATIENCE_S = 60.0


def handler(event: dict[str, Any], _context: Any) -> None:
    """One custom resource event. Deleting the resource leaves the schema: data outlives a stack."""
    with bound(request_id=event["RequestId"]):
        run(custom_resource.answer(event, physical_id="schema", act=_migrate))


async def _connect() -> DirectConnection:
    """Connect to a database that may have been paused: it resumes in about 15 s."""
    # A migration takes as long as it takes.
    arguments: dict[str, Any] = {**await connect_arguments(), "command_timeout": None}
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await asyncpg.connect(**arguments)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
            if time.monotonic() > give_up_at:
                raise DatabaseUnavailableError from error
            logger.info("the database cannot be reached yet")
            await asyncio.sleep(1)


async def _migrate() -> Json:
    connection = await _connect()
    try:
        applied = await migrate(connection, lease_s=settings().lease_s)
    finally:
        await connection.close()
    logger.info("migrated", extra={"applied": applied})
    return {"Applied": ",".join(applied)}
