"""The XML form of a call: an example of each function, and how to write one, for the system prompt.

Values are verbatim: nothing is escaped, and a value ends at its ``</parameter>``.
"""

import json
from collections.abc import Iterable
from typing import Any, Protocol

from shared.domain import Json

_HOW_TO = """\
# Tools

You can call the functions below. Write a call exactly in this form:

<function_calls>
<invoke name="function_name">
<parameter name="parameter_name">value</parameter>
</invoke>
</function_calls>

- One block may hold several <invoke> elements; they are all executed.
- Write text as it is, without quotes and without escaping; lists and objects as JSON; booleans as true or false.
- Leave out a parameter that you do not need. Use no other parameters than those listed.
- After the block, end your message: the results come back as <tool_result> elements.

# Functions
"""


class Described(Protocol):
    """What is said about a function."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def parameters(self) -> Json: ...


def example(name: str, parameters: Json) -> str:
    """A call of ``name``: all required parameters, and those that state an example."""
    required = set(parameters.get("required", ()))
    lines = [
        f'<parameter name="{parameter}">{_written(example_value(schema))}</parameter>'
        for parameter, schema in parameters.get("properties", {}).items()
        if parameter in required or schema.get("examples")
    ]
    return "\n".join(["<function_calls>", f'<invoke name="{name}">', *lines, "</invoke>", "</function_calls>"])


def instructions(functions: Iterable[Described]) -> str:
    """The part of a system prompt that teaches the XML form and lists ``functions``; empty if there are none."""
    parts = [_described(function) for function in functions]
    return "\n".join([_HOW_TO, *parts]) if parts else ""


def _described(function: Described) -> str:
    lines = [f"## {function.name}", function.description]
    required = set(function.parameters.get("required", ()))
    properties: dict[str, Json] = function.parameters.get("properties", {})
    if properties:
        lines.append("Parameters:")
    for parameter, schema in properties.items():
        need = "required" if parameter in required else "optional"
        described = schema.get("description")
        lines.append(f"- {parameter} ({_kind(schema)}, {need}){': ' + described if described else ''}")
    lines += ["Example:", example(function.name, function.parameters), ""]
    return "\n".join(lines)


def _kind(schema: Json) -> str:
    """The type in words: ``integer``, ``list``, ``one of "a", "b"``, or the schema where words do not reach."""
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    branches: list[Json] | None = schema.get("anyOf")
    if branches is not None:
        return " or ".join(_kind(branch) for branch in branches)
    if schema.get("properties") or schema.get("type") == "array":
        shape = {key: value for key, value in schema.items() if key not in ("description", "default", "examples")}
        return "JSON of the schema " + json.dumps(shape, ensure_ascii=False)
    kind = schema.get("type", "any JSON")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def example_value(schema: Json) -> Any:
    """A value that fits ``schema``, as far as type and stated examples go (bounds and patterns are not looked at)."""
    for given in (schema.get("examples"), schema.get("enum")):
        if given:
            return given[0]
    if "const" in schema or "default" in schema:
        return schema.get("const", schema.get("default"))
    branches: list[Json] = schema.get("anyOf") or schema.get("oneOf") or []
    for branch in branches:
        if branch.get("type") != "null":
            return example_value(branch)
    return _typed_example(schema)


def _typed_example(schema: Json) -> Any:
    properties: dict[str, Json] = schema.get("properties", {})
    items: Json | None = schema.get("items")
    by_type: dict[str, Any] = {
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "array": [example_value(items)] if items else [],
        "object": {name: example_value(properties[name]) for name in schema.get("required", ()) if name in properties},
        "null": None,
    }
    kind = schema.get("type")
    return by_type.get(kind, "text") if isinstance(kind, str) else "text"


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
