"""From a parameter's text to a value of the type that the tool's JSON Schema asks for.

XML calls carry text only, so the schema decides and the text never does: "123" stays a string where a string is asked
for. Checked is what is needed to read the text; whether the value satisfies the rest of the schema (bounds, items,
patterns) is for the tool's validation to say.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from functions.runner.calls import strict_json
from shared.domain import Json

_INTEGER = re.compile(r"[+-]?[0-9]+(?:\.0+)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_JSON_KINDS = {"{": "object", "[": "array"}
_DESCRIPTIONS = {
    "integer": "an integer such as 3",
    "number": "a number such as 2.5",
    "boolean": "true or false",
    "array": 'a JSON array such as ["a", "b"]',
    "object": 'a JSON object such as {"key": "value"}',
    "null": "null",
}
_VALUES_SHOWN = 20


@dataclass
class _Allowed:
    """What a schema lets through at its top: types by name, and single values (``enum``, ``const``)."""

    types: set[str] = field(default_factory=set[str])
    values: list[Any] = field(default_factory=list[Any])

    def describe(self) -> str:
        """For the model to read."""
        options = [_DESCRIPTIONS[name] for name in _DESCRIPTIONS if name in self.types]
        if self.values:
            options.insert(0, "one of " + ", ".join(_json(value) for value in self.values[:_VALUES_SHOWN]))
        return " or ".join(options)


def value_of(text: str, schema: object, *, root: Json) -> Any:
    """The value that ``text`` stands for by ``schema``; ``root`` is where its ``$ref`` point into.

    - a string is the text as it stands, spaces and line breaks included; every other type ignores those around it;
    - ``integer`` takes digits (and ``3.0``), ``number`` a decimal number, ``boolean`` also yes/no, on/off, 1/0;
    - ``array`` and ``object`` are JSON;
    - of several types (``anyOf``, ``oneOf``, ``type`` as a list, ``nullable``): a value of an ``enum`` first, ``null``
      for exactly that word, then an array or object if the text is one; then, if a string is allowed, it is a string:
      numbers and booleans are never guessed;
    - a schema that names no type takes the text as a string.

    Raises:
        ValueError: the text is none of what is allowed; the message goes on from "parameter x ...".
    """
    allowed = _Allowed()
    _collect(schema, root, allowed, frozenset())
    stripped = text.strip()
    for written in (text, stripped):
        for value in allowed.values:
            if value == written or _json(value) == written:
                return value
    if "null" in allowed.types and stripped == "null":
        return None
    why = ""
    kind = _JSON_KINDS.get(stripped[:1])
    if kind in allowed.types:
        try:
            return strict_json.parse(stripped)
        except ValueError as error:
            why = f" ({error})"
    if "string" in allowed.types or not (allowed.types or allowed.values):
        return text
    for name, read in _READERS.items():
        value = read(stripped) if name in allowed.types else None
        if value is not None:
            return value
    raise ValueError(f"must be {allowed.describe()}, not {strict_json.excerpt(text)}{why}")


def _collect(schema: object, root: Json, allowed: _Allowed, seen: frozenset[str]) -> None:
    """Add what ``schema`` allows. Schemas come from outside too (remote tools): nothing here trusts their form."""
    if not isinstance(schema, dict):
        allowed.types.add("string")
        return
    schema = cast("Json", schema)
    if schema.get("nullable") is True:
        allowed.types.add("null")
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference not in seen:
            _collect(_resolve(reference, root), root, allowed, seen | {reference})
    elif "const" in schema:
        allowed.values.append(schema["const"])
    elif isinstance(schema.get("enum"), list):
        allowed.values += schema["enum"]
    elif "type" in schema:
        allowed.types |= _types(schema["type"])
    elif options := _options(schema):
        for option in options:
            _collect(option, root, allowed, seen)
    elif "properties" in schema:
        allowed.types.add("object")
    elif "items" in schema:
        allowed.types.add("array")
    else:
        allowed.types.add("string")


def _types(named: Any) -> set[str]:
    names: list[Any] = cast("list[Any]", named) if isinstance(named, list) else [named]
    return {name if isinstance(name, str) and name in _DESCRIPTIONS else "string" for name in names}


def _options(schema: Json) -> list[Any]:
    # A nested model with a description of its own comes as `allOf` with one member.
    listed = [schema[word] for word in ("anyOf", "oneOf", "allOf") if isinstance(schema.get(word), list)]
    return [option for options in listed for option in options]


def _resolve(reference: str, root: Json) -> Any:
    """The part of ``root`` that a local reference (``#/$defs/Name``) points at; ``None`` if there is none."""
    if not reference.startswith("#"):
        return None
    part: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        part = cast("Json", part).get(key) if isinstance(part, dict) else None
    return part


def _integer(text: str) -> int | None:
    if not _INTEGER.fullmatch(text):
        return None
    try:
        return int(text.partition(".")[0])
    except ValueError:  # Python reads at most 4,300 digits
        return None


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    whole = _integer(text) if text.lstrip("+-").isdigit() else None
    if whole is not None:
        return whole
    number = float(text)
    return number if math.isfinite(number) else None


def _boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.lower())


# In the order in which they are tried.
_READERS: dict[str, Callable[[str], float | None]] = {"integer": _integer, "number": _number, "boolean": _boolean}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
