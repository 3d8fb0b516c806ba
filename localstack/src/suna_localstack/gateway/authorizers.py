"""Lambda (REQUEST) authorizers of routes, and the check that AWS_IAM routes are called with a signature.

Answers are not cached: `AuthorizerResultTtlInSeconds` only saves AWS's customers money. JWT authorizers are refused
when they are created (see `provider`).
"""

import json
from typing import Any

from suna_localstack.gateway.apis import Api, Authorizer, Route, Stage
from suna_localstack.gateway.backend import Backend, InvocationError, invoke_within
from suna_localstack.gateway.requests import GatewayRequest
from suna_localstack.json_types import Json, is_object

_AUTHORIZER_TIMEOUT_S = 10.0

type Event = dict[str, Any]


class RefusedError(Exception):
    """The caller is not let in; `status` is 401, 403 or 500 (the authorizer itself failed)."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def is_signed(request: GatewayRequest) -> bool:
    """Say whether a request carries a SigV4 signature; it is not verified here."""
    signed = request.header("authorization").startswith("AWS4-HMAC-SHA256")
    return signed or any(name.lower() == "x-amz-signature" for name, _ in request.query())


async def authorize(
    *, backend: Backend, request: GatewayRequest, api: Api, stage: Stage, route: Route, event: Event
) -> Event | None:
    """Let a request of `route` in and return the `authorizer` part of its request context, if it has one.

    `event` is the event that the integration would get; the authorizer's is derived from it.

    Raises
    ------
    RefusedError
        No identity (401), denied (403), or the authorizer failed (500).
    """
    if route.authorization_type == "AWS_IAM" and not is_signed(request):
        raise RefusedError(403)
    if route.authorizer is None:
        return None
    identity = [_identity(source, request, stage) for source in route.authorizer.identity_sources]
    if not all(identity):
        raise RefusedError(401)
    is_websocket = api.protocol == "WEBSOCKET"
    route_arn = f"arn:aws:execute-api:{api.region}:{api.account_id}:{api.api_id}/{stage.name}/{route.key}"
    own: Event = {"methodArn": route_arn} if is_websocket else {"routeArn": route_arn, "identitySource": identity}
    copied = {key: value for key, value in event.items() if key not in ("body", "isBase64Encoded")}
    try:
        answer = json.loads(
            await invoke_within(
                backend, route.authorizer.function_arn, {"type": "REQUEST", **own, **copied}, _AUTHORIZER_TIMEOUT_S
            )
        )
    except InvocationError as error:
        # A function that raises "Unauthorized" asks for 401; any other failure is the authorizer's.
        raise RefusedError(401 if "Unauthorized" in str(error) else 500) from error
    context = _allowed_context(route.authorizer, answer)
    return context if is_websocket else {"lambda": context}


def _allowed_context(authorizer: Authorizer, answer: object) -> Event:
    if not is_object(answer):
        raise RefusedError(500)
    context: Event = answer.get("context") or {}
    if authorizer.simple_responses:
        if answer.get("isAuthorized") is not True:
            raise RefusedError(403)
        return context
    policy: Json = answer.get("policyDocument") or {}
    statements: list[Json] = policy.get("Statement") or []
    if not statements:
        raise RefusedError(500)
    if any(statement.get("Effect") != "Allow" for statement in statements):
        raise RefusedError(403)
    return {"principalId": answer.get("principalId"), **context}


def _identity(source: str, request: GatewayRequest, stage: Stage) -> str:
    """Evaluate an identity source of either spelling: `$request.header.X` or `route.request.header.X`."""
    expression = source.removeprefix("$").removeprefix("route.")
    if expression.startswith("request.header."):
        return request.header(expression.removeprefix("request.header.").lower())
    if expression.startswith("request.querystring."):
        wanted = expression.removeprefix("request.querystring.")
        return next((value for name, value in request.query() if name == wanted), "")
    return stage.variables.get(expression.removeprefix("stageVariables."), "")
