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
"""Where a field is: ``query``, ``header``, ``body`` or ``params``, then names; ``[]``: an item of a list."""

# By the last word of their names, whatever their type.
_NAMES_THINGS = re.compile(r"(^|[_-])(ids?|before|after|since|cursor|key)$")
# Text that names nothing that an account has, and why.
NAMES_NOTHING = {
    "authorization": "says who asks: credentials have a table of their own",
    "x-api-key": "the same",
    "prefer": "how much is answered",
    "select": "names of fields",
    "keys": "names of fields",
    "stream_mode": "names of what there is for everybody",
    "channels": "the same",
    "namespaces": "the same",
    "namespace": "the same",
    "checkpoint_ns": "a thread has one state and none below it: runs refuse it, and it means nothing elsewhere",
    "role": "the same as the channels",
    "type": "the same",
    "model_name": "the same",
    "content_type": "the same",
    "prompt": "what somebody says",
    "content": "what somebody says; blocks of it, which may name files, are another field",
    "files": "what somebody says, as bytes",
    "name": "what somebody calls what is theirs, or finds it by among what is theirs",
    "description": "the same",
    "webhook": "an address, which has tests of its own",
}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_NAMES = {"boolean", "integer", "number"}
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


def leaves(schema: Json, place: Place = (), of: Json | None = None) -> Iterator[tuple[Place, Json]]:
    """What can be filled in below ``schema``, a part of ``of``: a place as often as it may be of different types."""
    of = of or schema
    if "$ref" in schema:
        yield from leaves(of["$defs"][schema["$ref"].rsplit("/", 1)[1]], place, of)
        return
    inner = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    for option in inner:
        yield from leaves(option, place, of)
    for name, field in schema.get("properties", {}).items():
        yield from leaves(field, (*place, name), of)
    if schema.get("type") == "array":
        yield from leaves(schema.get("items", {}), (*place, "[]"), of)
    elif not inner and "properties" not in schema:
        yield place, schema


def kind_of(place: Place, leaf: Json) -> str | None:
    """``uuid``, ``text`` or ``open`` of what may name something, ``nothing``; ``None``: nobody has said."""
    name = next(part for part in reversed(place) if part != "[]")
    if leaf.keys() & {"enum", "const"} or leaf.get("format") in _FORMATS or leaf.get("type") == "null":
        return "nothing"
    if leaf.get("type") in {None, "object"}:
        return "open"
    if leaf.get("format") == "uuid":
        return "uuid"
    is_text = leaf["type"] == "string"
    if _NAMES_THINGS.search(name) and not (is_text and name in NAMES_NOTHING):
        return "text"
    return "nothing" if leaf["type"] in _NO_NAMES or name in NAMES_NOTHING else None


def fields_of(of: Served | str, places: Iterator[tuple[Place, Json]]) -> Iterator[Field]:
    """A field a place, but for those that name nothing."""
    for place, found in groupby(sorted(places, key=lambda leaf: leaf[0]), lambda leaf: leaf[0]):
        kinds = {kind_of(place, leaf) for _, leaf in found}
        if None in kinds:
            yield Field(of, place, frozenset())
        elif kinds != {"nothing"}:
            yield Field(of, place, frozenset({kind for kind in kinds if kind} - {"nothing"}))


def _of_route(route: Served) -> Iterator[tuple[Place, Json]]:
    for where in ("query", "header"):
        for name, schema in route.parameters(where):
            # A model of the whole query stands for its fields.
            yield from leaves(schema, (where,) if schema.get("properties") else (where, name))
    if route.body is not None:
        yield from leaves(route.body, ("body",))


def all_fields() -> Iterator[Field]:
    """Of every route that does something for somebody, and of every command."""
    for route in all_served():
        if route.is_built and str(route) not in PUBLIC:
            yield from fields_of(route, _of_route(route))
    for name, command in COMMANDS.items():
        yield from fields_of(name, leaves(TypeAdapter(command.params).json_schema(), ("params",)))


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
