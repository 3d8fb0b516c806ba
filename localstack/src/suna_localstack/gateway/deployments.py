"""Deployments and stages, of which moto knows only half.

A deployment freezes routes, integrations and authorizers; a stage serves its deployment, or the API as it is when it
deploys automatically. Deployments hang on moto's Api objects, so they vanish with them.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from localstack.aws.api import CommonServiceException
from moto.apigatewayv2.models import Api as MotoApi
from moto.apigatewayv2.models import Stage as MotoStage

from suna_localstack.gateway.control_plane import describe_routes
from suna_localstack.json_types import Json

_STAGE_FIELDS = {
    "AccessLogSettings": "access_log_settings",
    "AutoDeploy": "auto_deploy",
    "ClientCertificateId": "client_certificate_id",
    "DefaultRouteSettings": "default_route_settings",
    "Description": "description",
    "RouteSettings": "route_settings",
    "StageVariables": "stage_variables",
}
_ROUTE_SETTING_FIELDS = {"DefaultRouteSettings", "RouteSettings", "AccessLogSettings"}


@dataclass(slots=True)
class Deployment:
    """What was deployed (`content`: see `describe_routes`) and when."""

    content: Json
    description: str | None
    deployment_id: str = field(default_factory=lambda: secrets.token_hex(5))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def describe(self) -> Json:
        """Return it as GetDeployment does."""
        description = {"Description": self.description} if self.description else {}
        return {
            "AutoDeployed": False,
            "CreatedDate": self.created,
            "DeploymentId": self.deployment_id,
            "DeploymentStatus": "DEPLOYED",
            **description,
        }


def deployments(api: MotoApi) -> dict[str, Deployment]:
    """Return an API's deployments by id; the dict is the API's own."""
    if not hasattr(api, "deployments"):
        setattr(api, "deployments", {})  # noqa: B010
    return getattr(api, "deployments")  # noqa: B009


def find_deployment(api: MotoApi, deployment_id: str) -> Deployment:
    """Return a deployment; NotFoundException if there is none."""
    try:
        return deployments(api)[deployment_id]
    except KeyError:
        message = f"Invalid Deployment identifier specified {deployment_id}"
        raise CommonServiceException("NotFoundException", message, status_code=404) from None


def create_deployment(api: MotoApi, *, description: str | None, stage_name: str | None) -> Deployment:
    """Freeze the API as it is, and make a stage serve it if one is named."""
    if not api.routes:
        message = "At least one route is required before deploying the Api."
        raise CommonServiceException("BadRequestException", message, status_code=400)
    deployment = Deployment(describe_routes(api), description)
    if stage_name:
        set_deployment(api.get_stage(stage_name), deployment)
    deployments(api)[deployment.deployment_id] = deployment
    return deployment


def delete_deployment(api: MotoApi, deployment_id: str) -> None:
    """Delete a deployment; refused while a stage serves it, as on AWS."""
    deployment = find_deployment(api, deployment_id)
    if any(stage_deployment(stage) is deployment for stage in api.stages.values()):
        message = "Active stages with deployments must be deleted or moved to other deployments first."
        raise CommonServiceException("BadRequestException", message, status_code=400)
    del deployments(api)[deployment_id]


def stage_deployment(stage: MotoStage) -> Deployment | None:
    """Return the deployment that a stage serves unless it deploys automatically."""
    return getattr(stage, "deployment", None)


def set_deployment(stage: MotoStage, deployment: Deployment | None) -> None:
    """Make a stage serve a deployment."""
    setattr(stage, "deployment", deployment)  # noqa: B010


def update_stage(api: MotoApi, stage: MotoStage, request: Json) -> None:
    """Apply an UpdateStage request: fields that are present replace the stage's."""
    for name, attribute in _STAGE_FIELDS.items():
        if name in request:
            value = request[name]
            if name == "RouteSettings":
                value = {key: _camel_case(settings) for key, settings in value.items()}
            elif name in _ROUTE_SETTING_FIELDS:
                value = _camel_case(value)
            setattr(stage, attribute, value)
    if "DeploymentId" in request:
        set_deployment(stage, find_deployment(api, request["DeploymentId"]))
    stage.updated = datetime.now()  # noqa: DTZ005 - moto's own timestamps are naive and local


def _camel_case(settings: Json) -> Json:
    return {name[0].lower() + name[1:]: value for name, value in settings.items()}
