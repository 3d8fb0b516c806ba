"""One ``<invoke>`` that is being read."""

import re
from typing import Any, cast
from uuid import UUID

from functions.runner.calls import strict_json
from functions.runner.calls.model import ToolCall
from functions.runner.calls.tags import Tag
from functions.runner.calls.values import value_of
from shared.domain import Json

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PROBLEMS_SHOWN = 5


class Invocation:
    """Collects an invocation's parameters; what is wrong with it is collected too, and makes it a problem.

    Texts are kept in pieces until the end, so that a long parameter in small pieces is not copied again and again.
    """

    def __init__(self, tag: Tag, *, start: int) -> None:
        self.start = start
        self.name = tag.attributes.get("name", "").strip()
        self._raw = [tag.raw]
        self._texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._stray: list[str] = []
        self._problems: list[str] = []
        if not self.name:
            self.blame(f"{strict_json.excerpt(tag.raw)} has no name in quotes")

    def blame(self, problem: str) -> None:
        """The call cannot be executed, because of ``problem``."""
        self._problems.append(problem)

    def add_between(self, text: str) -> None:
        """Text outside of parameters: nothing but spaces belongs there."""
        self._raw.append(text)
        self._stray.append(text)

    def begin_parameter(self, tag: Tag) -> None:
        """A parameter begins."""
        self._raw.append(tag.raw)
        self._open = []
        name = tag.attributes.get("name", "").strip()
        if not name:
            self.blame(f"{strict_json.excerpt(tag.raw)} has no name in quotes")
        elif name in self._texts:
            self.blame(f"parameter {name!r} is given twice")
        else:
            self._texts[name] = self._open

    def add_to_parameter(self, text: str) -> None:
        """More of the open parameter's text."""
        self._raw.append(text)
        self._open.append(text)

    def add_end(self, tag: Tag) -> None:
        """The end of a parameter or of the call."""
        self._raw.append(tag.raw)

    def call(self, *, message_id: UUID | str, index: int, end: int, schema: Json | None) -> ToolCall:
        """The whole call. ``schema`` is that of the tool's parameters, ``None`` if there is no such tool."""
        stray = "".join(self._stray).strip()
        if stray:
            self.blame(
                f"there is text outside of its parameters, {strict_json.excerpt(stray)} "
                "(a parameter ends at the first </parameter>, which therefore cannot be part of a value)"
            )
        malformed = bool(self._problems)
        arguments = {} if malformed else self._arguments(schema or {})
        problem = _problem(self.name, self._problems, with_form=malformed) if self._problems else None
        return xml_call(
            message_id=message_id,
            index=index,
            name=self.name,
            arguments=None if problem else arguments,
            raw="".join(self._raw),
            problem=problem,
            start=self.start,
            end=end,
        )

    def _arguments(self, schema: Json) -> Json:
        """The parameters' values. One that the schema does not know stays a string: the tool says what it thinks."""
        listed: Any = schema.get("properties")
        properties: Json = cast("Json", listed) if isinstance(listed, dict) else {}
        arguments: Json = {}
        for name, pieces in self._texts.items():
            try:
                value = value_of("".join(pieces), properties.get(name), root=schema)
            except ValueError as error:
                self.blame(f"parameter {name!r} {error}")
                continue
            try:
                strict_json.require_storable({name: value})
            except ValueError as error:
                self.blame(f"parameter {name!r} is not possible: {error}")
            arguments[name] = value
        return arguments


def xml_call(
    *,
    message_id: UUID | str,
    index: int,
    name: str = "",
    arguments: Json | None = None,
    raw: str,
    problem: str | None,
    start: int,
    end: int,
) -> ToolCall:
    """A call of the XML form, the ``index``-th of its message."""
    return ToolCall(
        # Not "<message id>-<index>": a native call without an id of its own may have that one.
        call_id=f"{message_id}-x{index}",
        index=index,
        name=name,
        arguments=arguments,
        raw=raw,
        form="xml",
        problem=problem,
        start=start,
        end=end,
    )


def form(name: str = "") -> str:
    """How a call is written, for the model to read."""
    tool = name if _NAME.fullmatch(name) else "tool_name"
    return (
        "Write each call as\n<function_calls>\n"
        f'<invoke name="{tool}">\n<parameter name="parameter_name">value</parameter>\n</invoke>\n'
        "</function_calls>"
    )


def _problem(name: str, problems: list[str], *, with_form: bool) -> str:
    called = f"The call of {name!r}" if name else "The call"
    text = f"{called} was not executed: {'; '.join(problems[:_PROBLEMS_SHOWN])}."
    return f"{text} {form(name)}" if with_form else text
