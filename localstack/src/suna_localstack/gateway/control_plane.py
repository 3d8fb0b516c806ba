"""What is deployed: the document that moto's state and our deployments make, published after every change.

Holds the one lock round everything that touches moto's API Gateway v2 backends, which are not thread-safe. Readers
never take it: they get the last published view.
"""

import copy
import secrets
import threading
from collections.abc import Iterator

from moto.apigatewayv2.models import Api as MotoApi
from moto.apigatewayv2.models import ApiGatewayV2Backend, apigatewayv2_backends
from moto.apigatewayv2.models import Stage as MotoStage

from suna_localstack.gateway.apis import Apis, parse_apis
from suna_localstack.json_types import Json


class ControlPlane:
    """The deployed APIs and their version."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held round every use of moto; nothing under it may call out over HTTP."""
        self._changed = threading.Condition()
        self._boot = secrets.token_hex(4)
        self._changes = 0
        self._closed = False
        self._document: Json = {"version": self.version, "apis": []}
        self._apis = Apis()

    @property
    def version(self) -> str:
        """Changes with every change, and with every start of LocalStack."""
        return f"{self._boot}-{self._changes}"

    @property
    def apis(self) -> Apis:
        """The current view; cheap, and safe from any thread."""
        return self._apis

    def publish(self) -> None:
        """Read moto's state and make it the current view; called after every operation that changes something."""
        with self.lock:
            apis = [describe_api(backend.account_id, backend.region_name, api) for backend, api in _moto_apis()]
            apis.sort(key=lambda api: api["createdDate"])
            view = parse_apis({"apis": apis})
            with self._changed:
                self._changes += 1
                self._document = {"version": self.version, "apis": apis}
                self._apis = view
                self._changed.notify_all()

    def wait_for_change(self, version: str, *, timeout_s: float) -> Json | None:
        """Return the current document at once if it is not `version`, else when it changes, at the latest after
        `timeout_s`; None once closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.version != version, timeout_s)
            return None if self._closed else self._document

    def close(self) -> None:
        """Let go of everybody who waits: a request still open when LocalStack stops would keep it from exiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _moto_apis() -> Iterator[tuple[ApiGatewayV2Backend, MotoApi]]:
    for regions in apigatewayv2_backends.values():
        for backend in regions.values():
            for api in backend.apis.values():
                yield backend, api


def describe_api(account_id: str, region: str, api: MotoApi) -> Json:
    """Describe an API with everything that its stages serve, in API Gateway's JSON spelling."""
    return {
        **api.to_json(),
        "accountId": account_id,
        "region": region,
        **describe_routes(api),
        "stages": [_describe_stage(stage) for stage in api.stages.values()],
    }


def describe_routes(api: MotoApi) -> Json:
    """Describe what a deployment freezes: routes, integrations, authorizers."""
    return copy.deepcopy(
        {
            "routes": [
                {**route.to_json(), "routeResponses": [item.to_json() for item in route.route_responses.values()]}
                for route in api.routes.values()
            ],
            "integrations": [integration.to_json() for integration in api.integrations.values()],
            "authorizers": [authorizer.to_json() for authorizer in api.authorizers.values()],
        }
    )


def _describe_stage(stage: MotoStage) -> Json:
    deployment = getattr(stage, "deployment", None)
    return {**stage.to_json(), "deployment": deployment.content if deployment else None}


CONTROL_PLANE = ControlPlane()
"""One a process, as moto's backends are."""
