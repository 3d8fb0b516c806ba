"""The migration function: a CloudFormation custom resource, so that a deployment migrates or fails."""

import json
from typing import Any

import aiohttp
import asyncpg

from shared.database.pool import connect_arguments
from shared.domain import Json
from shared.migrate import migrate
from shared.process import run
from shared.settings import settings
from shared.telemetry import bound, logger

PHYSICAL_RESOURCE_ID = "schema"


def handler(event: dict[str, Any], _context: Any) -> None:
    """One custom resource event. Deleting the resource leaves the schema: data outlives a stack.

    The protocol: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/crpg-ref.html
    """
    with bound(request_id=event["RequestId"]):
        run(_handle(event))


async def _handle(event: Json) -> None:
    answer: Json = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", PHYSICAL_RESOURCE_ID),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    try:
        if event["RequestType"] != "Delete":
            connection = await asyncpg.connect(**await connect_arguments())
            try:
                applied = await migrate(connection, lease_s=settings().lease_s)
            finally:
                await connection.close()
            logger.info("migrated", extra={"applied": applied})
            answer["Data"] = {"Applied": ",".join(applied)}
    except Exception as error:
        # Whatever went wrong, CloudFormation has to hear of it, or it waits for an hour.
        logger.exception("migration failed")
        answer |= {"Status": "FAILED", "Reason": f"{type(error).__name__}: {error}"[:1000]}
    # The URL is presigned for exactly this: a PUT without a content type.
    async with (
        aiohttp.ClientSession() as session,
        session.put(event["ResponseURL"], data=json.dumps(answer), headers={"content-type": ""}) as response,
    ):
        response.raise_for_status()
