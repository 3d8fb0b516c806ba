"""Every field that a client may fill in, found in the models of routes and commands.

Those that may name a thing are crossed with another account's things; of the others somebody has said why not.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter

from functions.api.command_types import COMMANDS
from tests.security.surface import PUBLIC, Json, Served, all_served

type Place = tuple[str, ...]
"""Where a field is: ``query``, ``header``, ``cookie``, ``body``, ``params``; then names; ``[]``: an item of a list."""

# By the last word of their names, whatever their type.
_NAMES_THINGS = re.compile(r"(^|[_-])(ids?|before|after|since|cursor|key)$")
# What names nothing that an account has: of a model, of a dependency, or of one route, each by itself.
NAMES_NOTHING = {
    "who asks: credentials have a table of their own": ("authenticates.authorization", "authenticates.x-api-key"),
    "how much is answered": (
        "PATCH /threads/{thread_id}.prefer",
        *("AgentSearch.limit", "AgentSearch.offset", "AssistantSearch.limit", "AssistantSearch.offset"),
        *("ThreadSearch.limit", "ThreadSearch.offset", "VersionsSearch.limit", "VersionsSearch.offset"),
        "HistorySearch.limit",
        *("GET /api-keys.limit", "GET /api-keys.offset"),
        *("GET /api/thread/{thread_id}/agent-runs.limit", "GET /api/thread/{thread_id}/agent-runs.offset"),
        *("GET /threads/{thread_id}/files.limit", "GET /threads/{thread_id}/files.offset"),
        *("GET /threads/{thread_id}/messages.limit", "GET /threads/{thread_id}/messages.offset"),
        *("GET /threads/{thread_id}/runs.limit", "GET /threads/{thread_id}/runs.offset"),
        "GET /threads/{thread_id}/history.limit",
    ),
    "names of fields": (
        *("AssistantSearch.select", "HistorySearch.select", "StateAtCheckpoint.select", "ThreadSearch.select"),
        *("GET /threads/{thread_id}/runs.select", "GET /threads/{thread_id}/state.select"),
        "GET /threads/{thread_id}/state/{checkpoint_id}.select",
        "StateGetParams.keys",
    ),
    "names of what there is for everybody": (
        *("StreamQuery.stream_mode", "RunCreate.stream_mode", "SubscribeParams.channels", "AgentStart.model_name"),
        *("StateGetParams.namespace", "SubscribeParams.namespaces", "SubscribeParams.depth"),
        *("InputMessage.role", "InputMessage.type", "FileCreate.content_type"),
    ),
    "a thread has one state and none below it: runs refuse it, and it means nothing elsewhere": (
        "CheckpointBody.checkpoint_ns",
    ),
    "what somebody says; blocks of it, which may name files, are another field": (
        *("InputMessage.content", "Body_initiate_agent_api_agent_initiate_post.prompt"),
        "Body_initiate_agent_api_agent_initiate_post.files",
    ),
    "what somebody calls what is theirs, or finds it by among what is theirs": (
        *("ApiKeyCreate.name", "FileCreate.name", "AgentSearch.name", "AssistantSearch.name"),
        *("AssistantCreate.name", "AssistantCreate.description", "AssistantPatch.name", "AssistantPatch.description"),
    ),
    "a number of the assistant that the path names": ("GET /assistants/{assistant_id}.version", "Latest.version"),
    "how large, or how long": ("FileCreate.size", "RunCreate.after_seconds"),
    "an address, which has tests of its own": ("RunCreate.webhook",),
}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FORMATS = {"date-time"}


@dataclass(frozen=True)
class Field:
    """``of``: a route, or a command's name. ``kinds``: of what can be put there: ``uuid``, ``text``, ``open``.

    ``open`` is any JSON. None of them: nobody knows whether it names something.
    """

    of: Served | str
    place: Place
    kinds: frozenset[str]

    def __str__(self) -> str:
        return f"{self.of} {'.'.join(self.place)}"

    def values(self, named: dict[str, str]) -> Iterator[Any]:
        """What is put there: each of the things that are ``named``, or all of them at once."""
        if "open" in self.kinds:
            for kind in ("file", "image"):
                yield {**named, "type": kind, "file": named, "configurable": named, "checkpoint": named}
        if self.kinds & {"uuid", "text"}:
            yield from (value for value in named.values() if "text" in self.kinds or UUID.fullmatch(value))


@dataclass(frozen=True)
class Leaf:
    """What can be filled in at a place. ``owner``: the model, the dependency or the route that says so."""

    place: Place
    schema: Json
    owner: str

    @property
    def name(self) -> str:
        """As it is called."""
        return next(part for part in reversed(self.place) if part != "[]")

    @property
    def kind(self) -> str | None:
        """``uuid``, ``text`` or ``open`` of what may name something, ``nothing``; ``None``: nobody has said."""
        schema, of_type = self.schema, self.schema.get("type")
        if schema.keys() & {"enum", "const"} or schema.get("format") in _FORMATS or of_type in {"null", "boolean"}:
            return "nothing"
        if of_type in {None, "object"}:
            return "open"
        if schema.get("format") == "uuid":
            return "uuid"
        if any(f"{self.owner}.{self.name}" in found for found in NAMES_NOTHING.values()):
            return "nothing"
        return "text" if _NAMES_THINGS.search(self.name) else None


def leaves(schema: Json, place: Place, *, owner: str, of: Json | None = None) -> Iterator[Leaf]:
    """What can be filled in below ``schema``, a part of ``of``: a place as often as it may be of different types."""
    of = of or schema
    if "$ref" in schema:
        yield from leaves(of["$defs"][schema["$ref"].rsplit("/", 1)[1]], place, owner=owner, of=of)
        return
    inner = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    for option in inner:
        yield from leaves(option, place, owner=owner, of=of)
    for name, field in schema.get("properties", {}).items():
        yield from leaves(field, (*place, name), owner=schema.get("title", owner), of=of)
    if schema.get("type") == "array":
        yield from leaves(schema.get("items", {}), (*place, "[]"), owner=owner, of=of)
    elif not inner and "properties" not in schema:
        yield Leaf(place, schema, owner)


def fields_of(of: Served | str, found: Iterator[Leaf]) -> Iterator[Field]:
    """A field a place, but for those that name nothing."""
    for place, leaves_of_place in groupby(sorted(found, key=lambda leaf: leaf.place), lambda leaf: leaf.place):
        kinds = {leaf.kind for leaf in leaves_of_place}
        if None in kinds:
            yield Field(of, place, frozenset())
        elif kinds != {"nothing"}:
            yield Field(of, place, frozenset({kind for kind in kinds if kind} - {"nothing"}))


def of_route(route: Served) -> Iterator[Leaf]:
    """What a route takes, but for what it reads by itself (:mod:`tests.security.reading`)."""
    for where in ("query", "header", "cookie"):
        for name, schema, owner in route.parameters(where):
            # A model of the whole query stands for its fields.
            yield from leaves(schema, (where,) if schema.get("properties") else (where, name), owner=owner)
    if route.body is not None:
        yield from leaves(route.body, ("body",), owner=str(route))


def all_fields() -> Iterator[Field]:
    """Of every route that does something for somebody, and of every command."""
    for route in all_served():
        if route.is_built and str(route) not in PUBLIC:
            yield from fields_of(route, of_route(route))
    for name, command in COMMANDS.items():
        schema = TypeAdapter(command.params).json_schema()
        yield from fields_of(name, leaves(schema, ("params",), owner=name))


FIELDS = [*all_fields()]
CROSSED = [str(field) for field in FIELDS if field.kinds]


def filled(what: Any, place: Place, value: Any) -> Any:
    """A copy of ``what`` with ``value`` at the place, and with what holds it."""
    if not place:
        return value
    name, *rest = place
    if name == "[]":
        items: list[Any] = deepcopy(what) if isinstance(what, list) and what else [None]
        return [filled(items[0], tuple(rest), value), *items[1:]]
    held: Json = deepcopy(what) if isinstance(what, dict) else {}
    return {**held, name: filled(held.get(name), tuple(rest), value)}
