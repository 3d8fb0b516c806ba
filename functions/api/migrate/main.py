"""The migration function: a CloudFormation custom resource, so that a deployment migrates or fails."""

from typing import Any

import asyncpg

from shared.aws import custom_resource
from shared.database.pool import connect_arguments
from shared.domain import Json
from shared.migrate import migrate
from shared.process import run
from shared.settings import settings
from shared.telemetry import bound, logger


def handler(event: dict[str, Any], _context: Any) -> None:
    """One custom resource event. Deleting the resource leaves the schema: data outlives a stack."""
    with bound(request_id=event["RequestId"]):
        run(custom_resource.answer(event, physical_id="schema", act=_migrate))


async def _migrate() -> Json:
    connection = await asyncpg.connect(**await connect_arguments())
    try:
        applied = await migrate(connection, lease_s=settings().lease_s)
    finally:
        await connection.close()
    logger.info("migrated", extra={"applied": applied})
    return {"Applied": ",".join(applied)}
