"""CloudFormation custom resources: the event a function gets, and the answer it gives.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from suna_localstack.json_types import Json, is_array, is_object

RequestType = Literal["Create", "Update", "Delete"]

ANSWER_LIMIT_BYTES = 4096


class InvalidAnswerError(Exception):
    """The function's answer is not one that CloudFormation takes: {0}."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid response from custom resource: {reason}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the function has PUT to the ResponseURL."""

    status: Literal["SUCCESS", "FAILED"]
    reason: str
    physical_resource_id: str
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    """Attributes for Fn::GetAtt."""


def event(
    *,
    request_type: RequestType,
    request_id: str,
    response_url: str,
    stack_id: str,
    logical_resource_id: str,
    resource_type: str,
    properties: dict[str, Any],
    physical_resource_id: str | None = None,
    old_properties: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Build the function's event; ``properties`` hold the ServiceToken, the other values arrive as strings."""
    built: dict[str, Any] = {
        "RequestType": request_type,
        "ServiceToken": properties["ServiceToken"],
        "ResponseURL": response_url,
        "StackId": stack_id,
        "RequestId": request_id,
        "LogicalResourceId": logical_resource_id,
        "ResourceType": resource_type,
        "ResourceProperties": stringified(properties),
    }
    if physical_resource_id is not None:
        built["PhysicalResourceId"] = physical_resource_id
    if old_properties is not None:
        built["OldResourceProperties"] = stringified(old_properties)
    return built


def parse_answer(body: bytes, *, request_id: str) -> Answer:
    """Read a function's answer.

    Raises
    ------
    InvalidAnswerError
        It is no JSON object, too long, for another request, or lacks what CloudFormation needs.
    """
    if len(body) > ANSWER_LIMIT_BYTES:
        message = "Response object is too long."
        raise InvalidAnswerError(message)
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise InvalidAnswerError(str(error)) from error
    if not is_object(answer):
        message = "not an object"
        raise InvalidAnswerError(message)
    if answer.get("RequestId") != request_id:
        message = f"RequestId {answer.get('RequestId')!r} is not {request_id!r}"
        raise InvalidAnswerError(message)
    if answer.get("Status") not in {"SUCCESS", "FAILED"}:
        message = f"Status {answer.get('Status')!r} is neither SUCCESS nor FAILED"
        raise InvalidAnswerError(message)
    physical_resource_id = answer.get("PhysicalResourceId")
    if not isinstance(physical_resource_id, str) or not physical_resource_id:
        message = "no PhysicalResourceId"
        raise InvalidAnswerError(message)
    data: Json = answer.get("Data") or {}
    return Answer(
        status=answer["Status"],
        reason=str(answer.get("Reason") or "no reason given"),
        physical_resource_id=physical_resource_id,
        data={name: value if isinstance(value, dict | list) else stringified(value) for name, value in data.items()},
    )


def stringified(value: Any) -> Any:
    """CloudFormation hands every scalar over as a string."""
    if is_object(value):
        return {name: stringified(member) for name, member in value.items()}
    if is_array(value):
        return [stringified(member) for member in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
