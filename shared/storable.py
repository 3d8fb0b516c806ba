"""What PostgreSQL's jsonb can hold, and gives back in about the room in which it came.

Whoever takes JSON from somebody refuses the rest in words of its own (``functions.api.wire``, a model's calls), or
makes it storable (a tool's output). Whatever goes into a statement goes through :func:`jsonb`, so what was forgotten
there neither fails in the database nor grows in it.
"""

import json
import math
import re
from decimal import Decimal
from typing import Any, cast

# jsonb keeps numbers as decimals and writes all of their digits: 1e308 is 5 characters here and 309 there.
LONGEST_NUMBER = 40
# More than whoever takes JSON allows, and what he wraps it in.
DEEPEST_JSON = 250
# Neither NUL nor half a surrogate pair is text there.
UNSTORABLE_TEXT = re.compile("[\x00\ud800-\udfff]")


def is_storable_number(number: float) -> bool:
    """Whether ``number`` (an int, too) is finite, and has at most ``LONGEST_NUMBER`` characters without an exponent."""
    if isinstance(number, int):
        return -(10 ** (LONGEST_NUMBER - 1)) < number < 10**LONGEST_NUMBER
    if not math.isfinite(number):
        return False
    # Seventeen digits are all that a float has.
    return 1e-15 <= abs(number) < 1e15 or len(format(Decimal(repr(number)), "f")) <= LONGEST_NUMBER


def storable_text(text: str) -> str:
    """``text`` with what PostgreSQL cannot hold replaced by U+FFFD."""
    return UNSTORABLE_TEXT.sub("\ufffd", text)


def storable(value: Any, *, deepest: int = DEEPEST_JSON) -> Any:
    """A copy of the JSON ``value`` that can be stored: a number that cannot be is the text that it was written as.

    Raises:
        ValueError: it is nested more than ``deepest`` deep.
    """
    if deepest < 0:
        raise ValueError("it is nested too deep")
    match value:
        case str():
            return storable_text(value)
        case int() | float():
            return value if is_storable_number(value) else _written(value)
        case dict():
            fields = cast("dict[str, Any]", value)
            return {storable_text(key): storable(inner, deepest=deepest - 1) for key, inner in fields.items()}
        case list() | tuple():
            return [storable(inner, deepest=deepest - 1) for inner in cast("list[Any]", value)]
        case _:
            return value


def jsonb(value: Any) -> str:
    """``value`` as a statement's argument of the type jsonb."""
    return json.dumps(storable(value))


def _written(number: float) -> str:
    # Python writes no int of more than 4,300 digits in decimal.
    return hex(number) if isinstance(number, int) and number.bit_length() > 10_000 else str(number)
