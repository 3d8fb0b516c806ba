"""HTTP APIs: one request from its route to the function and back."""

import logging
from dataclasses import replace

from suna_localstack.gateway.apis import Api, Route, Stage
from suna_localstack.gateway.authorizers import RefusedError, authorize
from suna_localstack.gateway.backend import (
    Backend,
    FunctionThrottledError,
    FunctionTimeoutError,
    InvocationError,
    invoke_within,
)
from suna_localstack.gateway.cors import CORS_HEADERS, is_preflight, preflight_headers, response_headers
from suna_localstack.gateway.http_events import build_http_event
from suna_localstack.gateway.http_responses import (
    HttpResponse,
    MalformedAnswerError,
    error_response,
    interpret_answer,
)
from suna_localstack.gateway.matching import RouteMatch, match_http_route
from suna_localstack.gateway.requests import GatewayRequest
from suna_localstack.gateway.settings import GatewaySettings

LOG = logging.getLogger(__name__)

_REFUSALS = {401: "Unauthorized", 403: "Forbidden", 500: "Internal Server Error"}


def select_stage(api: Api, path: str) -> tuple[Stage, str] | None:
    """Return the stage that a path means and the path within it: a first segment that names a stage selects it."""
    name, _, rest = path.removeprefix("/").partition("/")
    if name != "$default" and (stage := api.stages.get(name)):
        return stage, f"/{rest}"
    stage = api.stages.get("$default")
    return (stage, path) if stage else None


async def serve_http(
    *, backend: Backend, settings: GatewaySettings, request: GatewayRequest, api: Api, stage: Stage, body: bytes
) -> HttpResponse:
    """Answer a request; `request.path` is the path within the stage."""
    headers = {name.lower(): value for name, value in request.headers}
    match = match_http_route(stage.routes, request.method, request.path)
    preflight = api.cors is not None and is_preflight(request.method, headers)
    if api.cors is not None and preflight and not (match and match.key.startswith("OPTIONS ")):
        return HttpResponse(204, list(preflight_headers(api.cors, headers["origin"]).items()))
    if match is None:
        response = error_response(404, "Not Found")
    else:
        response = await _integrate(
            backend=backend, settings=settings, request=request, api=api, stage=stage, match=match, body=body
        )
    if api.cors is not None:
        own = [(name, value) for name, value in response.headers if name not in CORS_HEADERS]
        added = response_headers(api.cors, headers.get("origin"))
        response = replace(response, headers=[*own, *added.items()])
    return response


async def _integrate(
    *,
    backend: Backend,
    settings: GatewaySettings,
    request: GatewayRequest,
    api: Api,
    stage: Stage,
    match: RouteMatch,
    body: bytes,
) -> HttpResponse:
    route: Route = stage.routes[match.key]
    event = build_http_event(request=request, api=api, stage=stage, match=match, body=body, authorizer=None)
    try:
        authorizer = await authorize(backend=backend, request=request, api=api, stage=stage, route=route, event=event)
        if authorizer:
            event["requestContext"]["authorizer"] = authorizer
        if len(event.get("body", "")) > settings.invocation_payload_bytes:
            return error_response(413, "Request Too Long")
        timeout_s = min(route.timeout_s, settings.http_timeout_s)
        return interpret_answer(await invoke_within(backend, route.function_arn, event, timeout_s))
    except RefusedError as error:
        return error_response(error.status, _REFUSALS[error.status])
    except (FunctionThrottledError, FunctionTimeoutError) as error:
        LOG.warning("%s %s: %s", request.method, request.path, error)
        return error_response(503, "Service Unavailable")
    except (InvocationError, MalformedAnswerError) as error:
        LOG.warning("%s %s: %s", request.method, request.path, error)
        return error_response(500, "Internal Server Error")
