"""JSON that a model wrote, read strictly: what passes can be stored, sent on and written again."""

import json
from typing import Any, NoReturn, cast

from shared.storable import LONGEST_NUMBER, UNSTORABLE_TEXT, is_storable_number

MAX_DEPTH = 100
_EXCERPT = 60


def parse(text: str) -> Any:
    """The value that ``text`` is the JSON of.

    Raises:
        ValueError: it is not JSON (RFC 8259: no NaN, nothing after the value), or :func:`require_storable` refuses it.
            The message says what is wrong and where, for the model to read.
    """
    try:
        value: Any = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(_located(error)) from None
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    require_storable(value)
    return value


def require_storable(value: Any) -> None:
    """Refuse what JSON in Python can hold and a database or a provider cannot.

    Raises:
        ValueError: a number that PostgreSQL writes at length, U+0000, half of a surrogate pair, or more than
            ``MAX_DEPTH`` levels.
    """
    left: list[tuple[Any, int]] = [(value, 1)]
    while left:
        item, depth = left.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, str):
            if UNSTORABLE_TEXT.search(item):
                raise ValueError("it contains U+0000 or half of a surrogate pair")
        elif isinstance(item, int | float):
            if not is_storable_number(item):
                raise ValueError(f"it contains a number that is too large or longer than {LONGEST_NUMBER} digits")
        elif isinstance(item, dict):
            for key, member in cast("dict[str, Any]", item).items():
                left += [(key, depth), (member, depth + 1)]
        elif isinstance(item, list):
            left += [(member, depth + 1) for member in cast("list[Any]", item)]


def excerpt(text: str) -> str:
    """``text`` in quotes, as short as a message needs it."""
    shown = text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"
    return json.dumps(shown, ensure_ascii=bool(UNSTORABLE_TEXT.search(shown)))


def _located(error: json.JSONDecodeError) -> str:
    text, at = error.doc, error.pos
    if not text[at:].strip():
        return f"it ends too early, after {excerpt(text[-_EXCERPT:])}"
    if error.msg == "Extra data":
        return f"after its end there is more: {excerpt(text[at:])}"
    return f"{error.msg} at character {at}: {excerpt(text[at:])}"


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")
