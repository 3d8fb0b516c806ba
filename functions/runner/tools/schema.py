"""JSON Schemas as providers accept them: no references where they can be avoided, nothing that is only decoration."""

from typing import Any

from shared.domain import Json

_REFERENCE = "#/$defs/"
# Keywords whose value maps names to schemas: the names are not keywords, even if they read like one ("title").
_NAMED = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
# Decoration, or addressed to other readers than a model; some providers refuse unknown keywords.
_DROPPED = frozenset({"title", "discriminator", "$schema", "$id", "$comment"})


def simplified(schema: Json) -> Json:
    """``schema`` with local references put in place, and every described object closed to further properties.

    A type that contains itself cannot be put in place: its definition stays in ``$defs``.
    """
    definitions: dict[str, Json] = schema.get("$defs") or schema.get("definitions") or {}
    recursive: set[str] = set()
    root = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
    simple: Json = _simple(root, definitions, frozenset(), recursive)
    kept: dict[str, Json] = {}
    while missing := recursive - kept.keys():
        name = min(missing)
        kept[name] = _simple(definitions[name], definitions, frozenset({name}), recursive)
    return {**simple, "$defs": kept} if kept else simple


def _simple(node: Any, definitions: dict[str, Json], inside: frozenset[str], recursive: set[str]) -> Any:
    if isinstance(node, list):
        return [_simple(item, definitions, inside, recursive) for item in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, dict):
        return node
    schema: Json = node  # pyright: ignore[reportUnknownVariableType]
    reference = _local(schema.get("$ref"), definitions)
    if reference is not None:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if reference in inside:
            recursive.add(reference)
            return {"$ref": _REFERENCE + reference, **_simple(beside, definitions, inside, recursive)}
        placed: Json = _simple(definitions[reference], definitions, inside | {reference}, recursive)
        return {**placed, **_simple(beside, definitions, inside, recursive)}
    simple: Json = {}
    for key, value in schema.items():
        if key in _DROPPED:
            continue
        if key in _NAMED and isinstance(value, dict):
            named: Json = value  # pyright: ignore[reportUnknownVariableType]
            simple[key] = {name: _simple(each, definitions, inside, recursive) for name, each in named.items()}
        elif key in ("default", "examples", "enum", "const"):
            simple[key] = value
        else:
            # Providers know anyOf; where they know oneOf, they treat it the same.
            simple["anyOf" if key == "oneOf" else key] = _simple(value, definitions, inside, recursive)
    if "const" in simple:
        simple.setdefault("enum", [simple.pop("const")])
    if "properties" in simple:
        simple.setdefault("additionalProperties", False)
    return simple


def _local(reference: Any, definitions: dict[str, Json]) -> str | None:
    """The definition that ``reference`` names, if it is one of ours."""
    if not isinstance(reference, str):
        return None
    name = reference.removeprefix(_REFERENCE).removeprefix("#/definitions/")
    return name if name in definitions and name != reference else None
