"""All that an application answers, found in its own routes: hidden ones, mounts and WebSockets, too."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from pydantic import TypeAdapter
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from functions.api.http.app import build_app
from functions.api.http.identity import authenticates

type Json = dict[str, Any]

# Whoever asks is answered, and why.
PUBLIC = {
    "GET /ok": "whether the service is there: it touches nothing",
    "GET /docs": "leads to a file of the page",
    "GET /openapi.json": "the description, which stands in the repository",
    "HEAD /openapi.json": "the same without its body",
}
NOT_BUILT = 501
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Served:
    """A method and a path. ``route``: what FastAPI knows of it; ``None`` for what is not its own."""

    method: str
    path: str
    route: APIRoute | APIWebSocketRoute | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def authenticates(self) -> bool:
        """Whether it asks who somebody is before it does anything."""
        return self.route is not None and authenticates in _calls(self.route.dependant)

    @property
    def is_built(self) -> bool:
        """Whether it is there for more than to say that there is no such thing here."""
        return not (isinstance(self.route, APIRoute) and self.route.status_code == NOT_BUILT)

    @property
    def body(self) -> Json | None:
        """The JSON Schema of its body, if it has one."""
        declared: Any = self.route.body_field if isinstance(self.route, APIRoute) else None
        return None if declared is None else TypeAdapter(declared.field_info.annotation).json_schema()

    @property
    def is_form(self) -> bool:
        """Whether its body is a form."""
        declared: Any = self.route.body_field if isinstance(self.route, APIRoute) else None
        return getattr(declared and declared.field_info, "media_type", None) in {_FORM, "multipart/form-data"}

    def choices(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """What its body may say of what is there already, or is not (``if_exists``): places, and their words."""
        schema = self.body or {}
        whole = [schema, *schema.get("$defs", {}).values()] if schema.keys() & {"anyOf", "$ref"} else [schema]
        for name, said in (item for part in whole for item in part.get("properties", {}).items()):
            if name.startswith("if_"):
                options = [said, *said.get("anyOf", ())]
                yield ("body", name), tuple(word for option in options for word in option.get("enum", ()))

    def parameters(self, place: str) -> Iterator[tuple[str, Json, str]]:
        """What it takes in its ``query``, ``header`` or ``cookie``: names, JSON Schemas, and who asks for it.

        That is the route, or what it depends on.
        """
        if self.route is None:
            return
        for dependant in _all(self.route.dependant):
            is_own = dependant is self.route.dependant
            owner = str(self) if is_own else str(getattr(dependant.call, "__name__", dependant.call))
            for one in cast("list[Any]", getattr(dependant, f"{place}_params")):
                yield one.alias, TypeAdapter(one.field_info.annotation).json_schema(), owner


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for below in dependant.dependencies:
        yield from _all(below)


def _calls(dependant: Dependant) -> set[Any]:
    return {one.call for one in _all(dependant)}


def served(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[Served]:
    """What ``routes`` answer, and what is mounted among them. What is none of the known kinds counts by its kind."""
    for context in iter_route_contexts([*routes]):
        route = context.original_route
        path = prefix + (context.path or "")
        if isinstance(route, Mount) and route.routes:
            yield from served(route.routes, path)
        elif isinstance(route, WebSocketRoute):
            yield Served("WEBSOCKET", path, route if isinstance(route, APIWebSocketRoute) else None)
        elif methods := getattr(route, "methods", None):
            for method in sorted(methods):
                yield Served(method, path, route if isinstance(route, APIRoute) else None)
        else:
            yield Served(type(route).__name__.upper(), path)


@cache
def all_served() -> tuple[Served, ...]:
    """What the API answers over HTTP."""
    return tuple(served(build_app().routes))


def unaccounted(found: Iterable[Served]) -> list[str]:
    """Those that answer whoever asks, and that nobody has said why of."""
    return [str(one) for one in found if not one.authenticates and str(one) not in PUBLIC]
