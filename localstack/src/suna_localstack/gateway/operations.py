"""Operations of `apigatewayv2` that moto lacks (deployments, UpdateStage, lists) or gets wrong (WebSocket endpoints).

Each takes LocalStack's request context and the parsed request, returns the answer in the API's spelling, and runs
under the control plane's lock.
"""

from collections.abc import Callable

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.services.moto import call_moto
from moto.apigatewayv2.models import Api as MotoApi
from moto.apigatewayv2.models import apigatewayv2_backends

from suna_localstack.gateway.deployments import (
    create_deployment,
    delete_deployment,
    deployments,
    find_deployment,
    set_deployment,
    stage_deployment,
    update_stage,
)
from suna_localstack.json_types import Json

type Operation = Callable[[RequestContext, Json], Json | None]


def _find_api(context: RequestContext, request: Json) -> MotoApi:
    return apigatewayv2_backends[context.account_id][context.region].get_api(request["ApiId"])


def _create_api(context: RequestContext, request: Json) -> Json:
    answer = dict(call_moto(context))
    if answer["ProtocolType"] == "WEBSOCKET":
        api = _find_api(context, answer)
        api.api_endpoint = api.api_endpoint.replace("https://", "wss://", 1)
        answer["ApiEndpoint"] = api.api_endpoint
    return answer


def _create_authorizer(context: RequestContext, request: Json) -> Json:
    if request.get("AuthorizerType") == "JWT":
        message = "The local API Gateway has no JWT authorizers: use a REQUEST (Lambda) authorizer."
        raise CommonServiceException("BadRequestException", message, status_code=400)
    return dict(call_moto(context))


def _get_authorizers(context: RequestContext, request: Json) -> Json:
    return {"Items": [_pascal_case(item.to_json()) for item in _find_api(context, request).authorizers.values()]}


def _get_models(context: RequestContext, request: Json) -> Json:
    return {"Items": [_pascal_case(item.to_json()) for item in _find_api(context, request).models.values()]}


def _get_route_responses(context: RequestContext, request: Json) -> Json:
    route = _find_api(context, request).get_route(request["RouteId"])
    return {"Items": [_pascal_case(item.to_json()) for item in route.route_responses.values()]}


def _update_route_response(context: RequestContext, request: Json) -> Json:
    route = _find_api(context, request).get_route(request["RouteId"])
    response = route.get_route_response(request["RouteResponseId"])
    for name, attribute in (
        ("RouteResponseKey", "route_response_key"),
        ("ModelSelectionExpression", "model_selection_expression"),
        ("ResponseModels", "response_models"),
    ):
        if name in request:
            setattr(response, attribute, request[name])
    return _pascal_case(response.to_json())


def _create_deployment(context: RequestContext, request: Json) -> Json:
    api = _find_api(context, request)
    description, stage_name = request.get("Description"), request.get("StageName")
    return create_deployment(api, description=description, stage_name=stage_name).describe()


def _get_deployment(context: RequestContext, request: Json) -> Json:
    return find_deployment(_find_api(context, request), request["DeploymentId"]).describe()


def _get_deployments(context: RequestContext, request: Json) -> Json:
    return {"Items": [item.describe() for item in deployments(_find_api(context, request)).values()]}


def _update_deployment(context: RequestContext, request: Json) -> Json:
    deployment = find_deployment(_find_api(context, request), request["DeploymentId"])
    deployment.description = request.get("Description", deployment.description)
    return deployment.describe()


def _delete_deployment(context: RequestContext, request: Json) -> None:
    delete_deployment(_find_api(context, request), request["DeploymentId"])


def _create_stage(context: RequestContext, request: Json) -> Json:
    api, name = _find_api(context, request), request["StageName"]
    if name in api.stages:
        raise CommonServiceException("ConflictException", "Stage already exists", status_code=409)
    deployment = find_deployment(api, request["DeploymentId"]) if request.get("DeploymentId") else None
    call_moto(context)
    set_deployment(api.stages[name], deployment)
    return _describe_stage(api, name)


def _update_stage(context: RequestContext, request: Json) -> Json:
    api, name = _find_api(context, request), request["StageName"]
    update_stage(api, api.get_stage(name), request)
    return _describe_stage(api, name)


def _get_stage(context: RequestContext, request: Json) -> Json:
    api, name = _find_api(context, request), request["StageName"]
    api.get_stage(name)  # raises moto's not-found error
    return _describe_stage(api, name)


def _get_stages(context: RequestContext, request: Json) -> Json:
    api = _find_api(context, request)
    return {"Items": [_describe_stage(api, name) for name in api.stages]}


def _describe_stage(api: MotoApi, name: str) -> Json:
    stage = api.stages[name]
    answer = _pascal_case(stage.to_json())
    for field in ("DefaultRouteSettings", "AccessLogSettings"):
        if field in answer:
            answer[field] = _pascal_case(answer[field])
    answer["RouteSettings"] = {key: _pascal_case(value) for key, value in answer["RouteSettings"].items()}
    deployment = stage_deployment(stage)
    return answer | ({"DeploymentId": deployment.deployment_id} if deployment else {})


def _pascal_case(document: Json) -> Json:
    return {name[0].upper() + name[1:]: value for name, value in document.items() if value is not None}


OPERATIONS: dict[str, Operation] = {
    "CreateApi": _create_api,
    "CreateAuthorizer": _create_authorizer,
    "CreateDeployment": _create_deployment,
    "CreateStage": _create_stage,
    "DeleteDeployment": _delete_deployment,
    "GetAuthorizers": _get_authorizers,
    "GetDeployment": _get_deployment,
    "GetDeployments": _get_deployments,
    "GetModels": _get_models,
    "GetRouteResponses": _get_route_responses,
    "GetStage": _get_stage,
    "GetStages": _get_stages,
    "UpdateDeployment": _update_deployment,
    "UpdateRouteResponse": _update_route_response,
    "UpdateStage": _update_stage,
}
