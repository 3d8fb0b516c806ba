"""The services `apigatewayv2` and `apigatewaymanagementapi` of LocalStack, as its plugin entry points."""

import os
from typing import Any, cast
from urllib.parse import quote

import requests
from botocore.model import OperationModel
from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.spec import load_service
from localstack.http import Response
from localstack.services.moto import call_moto
from localstack.services.plugins import Service, aws_provider
from moto.core.exceptions import RESTError

from suna_localstack.gateway.control_plane import CONTROL_PLANE
from suna_localstack.gateway.operations import OPERATIONS

_READING_PREFIXES = ("Get", "List", "Export")
_MANAGEMENT_TIMEOUT_S = 10


class _ApiGatewayV2:
    service = "apigatewayv2"

    def dispatch(self, context: RequestContext, request: Any) -> Any:
        """Run one operation under the lock and publish what it changed."""
        name = _operation_name(context)
        with CONTROL_PLANE.lock:
            try:
                own = OPERATIONS.get(name)
                answer = own(context, request) if own else call_moto(context)
            except RESTError as error:
                raise CommonServiceException(
                    error.error_type, error.message, status_code=int(error.code or 400)
                ) from error
            if not name.startswith(_READING_PREFIXES):
                CONTROL_PLANE.publish()
        return answer


class _ManagementApi:
    service = "apigatewaymanagementapi"

    def dispatch(self, context: RequestContext, request: Any) -> Any:
        """Pass the call on to the data plane, in whatever process that runs."""
        answer = requests.request(
            context.request.method,
            f"{gateway_url()}/@connections/{quote(request['ConnectionId'], safe='')}",
            data=request.get("Data"),
            headers={"Authorization": context.request.headers.get("Authorization", "")},
            timeout=_MANAGEMENT_TIMEOUT_S,
        )
        kept = {name: value for name, value in answer.headers.items() if name.lower() in _KEPT_HEADERS}
        return Response(answer.content, answer.status_code, kept)


_KEPT_HEADERS = frozenset({"content-type", "x-amzn-errortype"})


def gateway_url() -> str:
    """Return where the data plane listens: `SUNA_GATEWAY_PORT`, which the in-process one sets when it has started."""
    port = os.environ.get("SUNA_GATEWAY_PORT") or "0"
    if port == "0":
        raise CommonServiceException("ServiceUnavailable", "The gateway's port is not known", status_code=503)
    return f"http://127.0.0.1:{port}"


def _service(provider: _ApiGatewayV2 | _ManagementApi) -> Service:
    names: list[str] = list(load_service(provider.service).operation_names)
    return Service.for_provider(provider, dispatch_table_factory=lambda _: dict.fromkeys(names, provider.dispatch))


def _operation_name(context: RequestContext) -> str:
    # LocalStack has found it before it calls a provider.
    return cast(OperationModel, context.operation).name


@aws_provider(api="apigatewayv2", name="moto")
def apigatewayv2() -> Service:
    """Entry point `apigatewayv2:moto`."""
    return _service(_ApiGatewayV2())


@aws_provider(api="apigatewaymanagementapi", name="moto")
def apigatewaymanagementapi() -> Service:
    """Entry point `apigatewaymanagementapi:moto`."""
    return _service(_ManagementApi())
