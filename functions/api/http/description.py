"""The API's description, OpenAPI 3.1: its names, who may ask, where it is served, and each route's errors."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from functions.api.http.identity import authenticates, needs_token
from functions.api.http.responses import describe_errors
from shared.domain import Json

_ABOUT = (
    "Threads, runs and their streams as langgraph-sdk speaks them, and Suna's own routes under /api."
    " Events also come over a WebSocket, which asyncapi.json describes."
)
_TAGS = {
    "system": "The service itself",
    "agents": "Agents in the words of LangChain's Agent Protocol",
    "assistants": "An agent's configuration, with its versions",
    "threads": "Conversations",
    "states": "A thread's messages as states and checkpoints",
    "messages": "What was said in a thread",
    "files": "What is attached to a thread",
    "streams": "Runs that are followed while they go on",
    "runs": "An agent's turns in a thread",
    "commands": "The WebSocket's commands, over HTTP",
    "suna": "Suna's own routes, over the same threads and runs",
    "streaming": "Tickets for the WebSocket",
    "api keys": "Keys that stand for the account",
    "webhooks": "What webhooks are signed with",
    "account": "The account itself",
    "not supported": "What langgraph-sdk can ask for and nobody answers here: each says what there is instead",
}
_TOKEN = "token"  # noqa: S105 - a scheme's name
_KEY = "apiKey"
_SCHEMES: Json = {
    _TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the issuer that the deployment trusts",
    },
    _KEY: {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key of POST /api-keys"},
}
_SERVERS = [{"url": "/", "description": "The address that this description was got from, or your deployment's own"}]
_LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def operation_id(route: APIRoute) -> str:
    """The name of the route's function, as clients in most languages write names: ``createThread``."""
    first, *more = route.name.split("_")
    return first + "".join(word.capitalize() for word in more)


def describe(app: FastAPI) -> None:
    """Have the application describe itself so that generators of clients take it."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi


def _described(app: FastAPI) -> Json:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=_ABOUT,
        routes=app.routes,
        tags=[{"name": name, "description": about} for name, about in _TAGS.items()],
        servers=_SERVERS,
        license_info=_LICENCE,
    )
    schema["components"]["securitySchemes"] = _SCHEMES
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and context.path_format in schema["paths"]:
            for method in route.methods or ():
                schema["paths"][context.path_format][method.lower()]["security"] = _security(route.dependant)
    return describe_errors(schema)


def _security(dependant: Dependant) -> list[dict[str, list[str]]]:
    """Either of the schemes is enough; none where nobody asks who it is."""
    calls = set(_calls(dependant))
    if needs_token in calls:
        return [{_TOKEN: []}]
    return [{_TOKEN: []}, {_KEY: []}] if authenticates in calls else []


def _calls(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from _calls(below)
