"""JSON Schemas as providers accept them: no references where they can be avoided, nothing that is only decoration.

Remote tools bring schemas of their own: nothing here trusts their form, and what a reference becomes is bounded while
it is put in place, since a kilobyte of references that name each other twice becomes gigabytes.
"""

from typing import Any

from shared.domain import Json
from shared.errors import SunaError

_REFERENCE = "#/$defs/"
# Keywords whose value maps names to schemas: the names are not keywords, even if they read like one ("title").
_NAMED = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
# Decoration, or addressed to other readers than a model; some providers refuse unknown keywords.
_DROPPED = frozenset({"title", "discriminator", "$schema", "$id", "$comment"})
_VALUES = frozenset({"default", "examples", "enum", "const"})

# Of a schema with its references in place: no provider takes more for a tool.
LARGEST = 32_000
# Python's own bound on recursion is about a hundred times that.
DEEPEST = 64


class SchemaTooLargeError(SunaError):
    """A tool's schema is too large, with its references in place."""


def simplified(schema: Json, *, largest: int = LARGEST, deepest: int = DEEPEST) -> Json:
    """``schema`` with local references put in place, and every described object closed to further properties.

    A type that contains itself cannot be put in place: its definition stays in ``$defs``.

    Args:
        schema: a JSON Schema, or what somebody takes for one.
        largest: how much it may become, in characters of its names and values and one for each thing that has parts.
        deepest: how deep.

    Raises:
        SchemaTooLargeError: it would become larger, or deeper. Nothing more than that was made of it.
    """
    return _Simplifier(schema, largest=largest, deepest=deepest).simplified()


class _Simplifier:
    def __init__(self, schema: Json, *, largest: int, deepest: int) -> None:
        given: Any = schema.get("$defs") or schema.get("definitions") or {}
        self._definitions: dict[str, Json] = (
            {name: part for name, part in given.items() if isinstance(part, dict)}  # pyright: ignore[reportUnknownVariableType]
            if isinstance(given, dict)
            else {}
        )
        self._root = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        self._recursive: set[str] = set()
        self._largest = self._left = largest
        self._deepest = deepest

    def simplified(self) -> Json:
        simple: Json = self._simple(self._root, frozenset(), 0)
        kept: dict[str, Json] = {}
        while missing := self._recursive - kept.keys():
            name = min(missing)
            kept[name] = self._simple(self._definitions[name], frozenset({name}), 0)
        return {**simple, "$defs": kept} if kept else simple

    def _simple(self, node: Any, inside: frozenset[str], depth: int) -> Any:
        self._spend(node, depth)
        if isinstance(node, list):
            return [self._simple(item, inside, depth + 1) for item in node]  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(node, dict):
            return node
        schema: Json = node  # pyright: ignore[reportUnknownVariableType]
        reference = self._local(schema.get("$ref"))
        if reference is not None:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            if reference in inside:
                self._recursive.add(reference)
                return {"$ref": _REFERENCE + reference, **self._simple(beside, inside, depth + 1)}
            placed: Json = self._simple(self._definitions[reference], inside | {reference}, depth + 1)
            return {**placed, **self._simple(beside, inside, depth + 1)}
        simple: Json = {}
        for key, value in schema.items():
            if key in _DROPPED:
                continue
            if key in _NAMED and isinstance(value, dict):
                named: Json = value  # pyright: ignore[reportUnknownVariableType]
                self._spend(named, depth)
                simple[key] = {name: self._simple(each, inside, depth + 1) for name, each in named.items()}
            elif key in _VALUES:
                self._spend_all(value, depth + 1)
                simple[key] = value
            else:
                # Providers know anyOf; where they know oneOf, they treat it the same.
                simple["anyOf" if key == "oneOf" else key] = self._simple(value, inside, depth + 1)
        if "const" in simple:
            simple.setdefault("enum", [simple.pop("const")])
        if "properties" in simple:
            simple.setdefault("additionalProperties", False)
        return simple

    def _spend_all(self, value: Any, depth: int) -> None:
        """Count a value that stays as it is."""
        self._spend(value, depth)
        parts: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        for part in parts:
            self._spend_all(part, depth + 1)

    def _spend(self, node: Any, depth: int) -> None:
        """Count a thing without its parts."""
        self._left -= 1
        if isinstance(node, str):
            self._left -= len(node)
        elif isinstance(node, dict):
            self._left -= sum(len(str(key)) for key in node)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if self._left < 0:
            raise SchemaTooLargeError(
                f"its schema has more than {self._largest} characters, with its references in place"
            )
        if depth > self._deepest:
            raise SchemaTooLargeError(f"its schema is deeper than {self._deepest}, with its references in place")

    def _local(self, reference: Any) -> str | None:
        """The definition that ``reference`` names, if it is one of ours."""
        if not isinstance(reference, str):
            return None
        name = reference.removeprefix(_REFERENCE).removeprefix("#/definitions/")
        return name if name in self._definitions and name != reference else None
