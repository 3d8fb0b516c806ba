"""Functions as CloudFormation custom resources: what they do at deploy, the deployment hears of.

The protocol: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/crpg-ref.html
"""

import json
from collections.abc import Awaitable, Callable

import aiohttp

from shared.domain import Json
from shared.telemetry import logger


def is_custom_resource(event: Json) -> bool:
    """Whether a function was invoked by CloudFormation."""
    return "ResponseURL" in event and "RequestType" in event


def _reason(error: Exception) -> str:
    """What whoever deploys is told: also what is behind an error of ours, which says less than they need."""
    reason = f"{type(error).__name__}: {error}"
    if error.__cause__ is not None:
        reason += f" ({type(error.__cause__).__name__}: {error.__cause__})"
    return reason[:1000]


async def answer(event: Json, *, physical_id: str, act: Callable[[], Awaitable[Json]]) -> None:
    """Act on creation and update, and tell CloudFormation what came of it.

    Args:
        event: the custom resource's event.
        physical_id: the resource's id; there is one of it.
        act: does the work, and returns what ``Fn::GetAtt`` gives. It is not called for a deletion: what it made
            outlives the stack.
    """
    told: Json = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", physical_id),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    try:
        if event["RequestType"] != "Delete":
            told["Data"] = await act()
    except Exception as error:
        # Whatever went wrong, CloudFormation has to hear of it, or it waits for an hour.
        logger.exception("the custom resource failed")
        told |= {"Status": "FAILED", "Reason": _reason(error)}
    # The URL is presigned for exactly this: a PUT without a content type.
    async with (
        aiohttp.ClientSession() as session,
        session.put(event["ResponseURL"], data=json.dumps(told), headers={"content-type": ""}) as response,
    ):
        response.raise_for_status()
