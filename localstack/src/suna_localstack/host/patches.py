"""Patches of LocalStack's runtime."""

from localstack.runtime.runtime import LocalstackRuntime
from localstack.runtime.server.twisted import TwistedRuntimeServer
from rolo.gateway import Gateway
from rolo.serving.twisted import TwistedGateway
from twisted.internet import endpoints, reactor

from localstack import config


def _register(
    self: TwistedRuntimeServer,
    gateway: Gateway,
    listen: list[config.HostAndPort],
    ssl_creds: tuple[str, str] | None = None,
) -> None:
    """Listen on the host that is configured: the original takes only the port from it and binds every interface."""
    site = TwistedGateway(gateway)
    for address in listen:
        endpoints.TCP4ServerEndpoint(reactor, address.port, interface=address.host).listen(site)  # pyright: ignore[reportUnknownMemberType] - not annotated


def _init_gateway_server(self: LocalstackRuntime) -> None:
    """Serve plain HTTP only: the original makes a certificate and an RSA key at each first start."""
    self.components.runtime_server.register(self.components.gateway, self.config.GATEWAY_LISTEN)


def serve_plain_http_on_configured_host() -> None:
    """Make the AWS endpoint listen on ``GATEWAY_LISTEN``'s host, without TLS."""
    TwistedRuntimeServer.register = _register
    LocalstackRuntime._init_gateway_server = _init_gateway_server  # pyright: ignore[reportPrivateUsage] - no other way
