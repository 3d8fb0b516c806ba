"""The directive language: ``[[word arguments]]`` inside a user message (README.md has the table).

A script is a list of turns. One model call plays one turn; which one is decided by how many assistant messages follow
the user message that holds the script, so the server needs no memory of conversations.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

DEFAULT_RATE = 50.0

_OPEN = re.compile(r"\[\[\s*([a-z]+)\b")
_WORD = re.compile(r"[^\s\[\]{}]+")
_DECODER = json.JSONDecoder()


class ScriptError(ValueError):
    """A directive cannot be understood; the message quotes it. The server answers 400 with it."""


@dataclass(frozen=True)
class Text:
    """Tokens at a rate (tokens per second, 0 = as fast as possible); ``limit=None`` never ends."""

    tokens: tuple[str, ...] = ()
    rate: float = DEFAULT_RATE
    kind: Literal["content", "reasoning_content", "refusal"] = "content"
    endless: bool = False


@dataclass(frozen=True)
class Call:
    """One native tool call; ``arguments`` is the raw JSON text (not always valid: ``[[malformed]]``)."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Calls:
    """Tool calls made together in one assistant message."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Pause:
    """Silence in the middle of the stream; ``None`` lasts until the client goes away."""

    seconds: float | None


@dataclass(frozen=True)
class Cut:
    """The connection breaks here."""


@dataclass(frozen=True)
class Status:
    """The first ``times`` requests with this key (all when ``None``) are answered with an HTTP error."""

    status: int
    times: int | None = None
    key: str | None = None
    retry_after_s: float | None = None


Step = Text | Calls | Pause | Cut


@dataclass
class Turn:
    """What one model call does, in order. ``first_s`` replaces the server's delay of the first token."""

    statuses: list[Status] = field(default_factory=list[Status])
    steps: list[Step] = field(default_factory=list[Step])
    finish_reason: str = "stop"
    first_s: float | None = None
    explicit: bool = False
    recalls: list[str] = field(default_factory=list[str])

    @property
    def closed(self) -> bool:
        """A turn ends where the model hands over: at tool calls, or where it was cut off."""
        return self.finish_reason != "stop" or (bool(self.steps) and isinstance(self.steps[-1], Cut))


@dataclass(frozen=True)
class Directive:
    """One ``[[word ...]]``: words and JSON values in their order."""

    word: str
    arguments: tuple[Any, ...]
    source: str

    def number(self, index: int, default: float | None = None) -> float:
        """The positional argument ``index`` as a number."""
        if index >= len(self.arguments) and default is not None:
            return default
        try:
            return float(self.arguments[index])
        except (IndexError, TypeError, ValueError):
            raise ScriptError(f"{self.source}: argument {index + 1} must be a number") from None

    def option(self, name: str) -> str | None:
        """The word after ``name``, as in ``rate 50``."""
        for position, value in enumerate(self.arguments[:-1]):
            if value == name:
                return str(self.arguments[position + 1])
        return None

    def option_number(self, name: str) -> float | None:
        value = self.option(name)
        try:
            return None if value is None else float(value)
        except ValueError:
            raise ScriptError(f"{self.source}: {name} must be a number") from None


def directives(text: str) -> Iterator[Directive]:
    """Every directive of ``text``, in order; JSON arguments may contain brackets."""
    position = 0
    while match := _OPEN.search(text, position):
        position = match.end()
        arguments: list[Any] = []
        raw_start = position
        while True:
            while position < len(text) and text[position] in " \t\r\n;,":
                position += 1
            if text.startswith("]]", position):
                break
            if position >= len(text):
                raise ScriptError(f"{text[match.start() : match.start() + 40]!r}: no closing ]]")
            if text[position] in '{["':
                try:
                    value, position = _DECODER.raw_decode(text, position)
                except ValueError as error:
                    raise ScriptError(f"{text[match.start() : match.start() + 40]!r}: bad JSON ({error})") from None
                arguments.append(value)
            elif word := _WORD.match(text, position):
                arguments.append(word.group())
                position = word.end()
            else:
                arguments.append(text[position])
                position += 1
        raw = text[raw_start:position].strip()
        position += 2
        if match.group(1) in {"say", "remember"}:
            arguments = [raw]
        yield Directive(match.group(1), tuple(arguments), text[match.start() : position])


def _words(count: int) -> tuple[str, ...]:
    return tuple(f"token{index} " for index in range(1, count + 1))


def split_tokens(text: str) -> tuple[str, ...]:
    """Words with the space that follows them: about a model's tokens."""
    return tuple(re.findall(r"\S+\s*|\s+", text))


def _tool_calls(directive: Directive) -> tuple[bool, list[Call]]:
    arguments = [a for a in directive.arguments if a != "parallel"]
    calls: list[Call] = []
    position = 0
    while position < len(arguments):
        name = arguments[position]
        if not isinstance(name, str):
            raise ScriptError(f"{directive.source}: a tool's name must come before its arguments")
        has_value = position + 1 < len(arguments) and isinstance(arguments[position + 1], dict)
        calls.append(Call(name, json.dumps(arguments[position + 1] if has_value else {})))
        position += 2 if has_value else 1
    if not calls:
        raise ScriptError(f"{directive.source}: no tool named")
    return "parallel" in directive.arguments, calls


def _xml(calls: list[Call]) -> str:
    lines = ["<function_calls>"]
    for call in calls:
        lines.append(f'<invoke name="{call.name}">')
        for name, value in json.loads(call.arguments).items():
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f'<parameter name="{name}">{text}</parameter>')
        lines.append("</invoke>")
    return "\n".join([*lines, "</function_calls>"])


def _after(directive: Directive, rate: float) -> list[Step]:
    count = directive.option_number("after")
    return [Text(_words(int(count)), rate)] if count else []


def turns(text: str) -> list[Turn]:  # noqa: PLR0912, PLR0915 - one case a directive, as the table in README.md
    """The turns that the directives of ``text`` ask for; empty without directives.

    Raises:
        ScriptError: a directive is unknown or malformed.
    """
    result: list[Turn] = []
    turn = Turn()
    rate = DEFAULT_RATE

    def close(reason: str) -> None:
        nonlocal turn
        turn.finish_reason = reason
        result.append(turn)
        turn = Turn()

    for directive in directives(text):
        if directive.word == "remember":
            continue  # a statement for later, not an instruction
        turn.explicit = True
        match directive.word:
            case "rate":
                rate = directive.number(0)
            case "first":
                turn.first_s = directive.number(0)
            case "tokens":
                own = directive.option_number("rate")
                turn.steps.append(Text(_words(int(directive.number(0))), rate if own is None else own))
            case "say":
                turn.steps.append(Text(split_tokens(directive.arguments[0]), rate))
            case "think":
                turn.steps.append(Text(_words(int(directive.number(0))), rate, "reasoning_content"))
            case "recall":
                turn.recalls.extend(str(name) for name in directive.arguments)
                turn.steps.append(Text(("",), rate))
            case "delay":
                turn.steps.append(Pause(directive.number(0)))
            case "empty":
                pass
            case "endless":
                own = directive.option_number("rate")
                turn.steps.append(Text((), rate if own is None else own, endless=True))
            case "tool" | "tools":
                parallel, calls = _tool_calls(directive)
                for group in [calls] if parallel else [[call] for call in calls]:
                    turn.explicit = True
                    turn.steps.append(Calls(tuple(group)))
                    close("tool_calls")
            case "malformed":
                name = str(directive.arguments[0]) if directive.arguments else "search"
                turn.steps.append(Calls((Call(name, '{"query": "no closing quote'),)))
                close("tool_calls")
            case "xml":
                turn.steps.append(Text(split_tokens(_xml(_tool_calls(directive)[1])), rate))
                result.append(turn)
                turn = Turn()
            case "length":
                turn.steps.append(Text(_words(int(directive.number(0, 16))), rate))
                close("length")
            case "refuse":
                refusal = split_tokens("I can't help with that.")
                turn.steps.append(Text(refusal, rate, "refusal"))
                if "filter" in directive.arguments:
                    turn.finish_reason = "content_filter"
            case "stall":
                turn.steps += [*_after(directive, rate), Pause(directive.option_number("for"))]
            case "break":
                turn.steps += [*_after(directive, rate), Cut()]
            case "status":
                times = directive.option_number("times")
                turn.statuses.append(
                    Status(
                        int(directive.number(0)),
                        None if times is None else int(times),
                        directive.option("key"),
                        directive.option_number("retry"),
                    )
                )
            case "summarise" | "summarize":
                pass  # decided before the script is read
            case unknown:
                raise ScriptError(f"{directive.source}: unknown directive {unknown!r}")
    if turn.explicit:
        result.append(turn)
    return result
