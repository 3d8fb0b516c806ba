"""What the bodies of all requests have in common: what may be in them, and how much of it."""

import json
import math
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from shared.storable import LONGEST_NUMBER, is_storable_number

# Pydantic writes what is nested 255 deep, and an answer wraps what it holds.
DEEPEST_JSON = 64
# A list of fifty, however large each is, fits into an answer of a function.
LARGEST_METADATA_BYTES = 64 * 1024


# Of what clients send. The body's values are bounded altogether, too (functions.api.values).
MOST_KEYS = 1000
MOST_ITEMS = 1000
MOST_MESSAGE_VALUES = 20_000

# How a value is reached: the place of what holds it, and its key or index there.
type _Place = tuple[_Place, str | int] | None
_SHOWN_STEPS = 8
_SHOWN_CHARACTERS = 40


def storable(value: Any) -> Any:
    """What is accepted can be stored, and answered again.

    PostgreSQL holds neither U+0000 nor half a surrogate pair and writes numbers without exponents, JSON has no number
    that is not one, and whoever writes JSON gives up on what is nested deeper than any document is.

    Raises:
        ValueError: it holds something of that; the message says what, and where.
    """
    rest: list[tuple[Any, int, _Place]] = [(value, 1, None)]
    while rest:
        item, depth, place = rest.pop()
        if depth > DEEPEST_JSON:
            raise ValueError(f"JSON must not be nested more than {DEEPEST_JSON} deep")
        if isinstance(item, str):
            if "\0" in item:
                raise ValueError(f"text must not contain the character U+0000{_at(place)}")
            item.encode()
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("NaN and Infinity are not JSON")
        elif isinstance(item, int | float) and not is_storable_number(item):
            raise ValueError(
                f"a number must not have more than {LONGEST_NUMBER} characters when it is written without an"
                f" exponent{_at(place)}: send it as text"
            )
        elif isinstance(item, dict):
            fields = cast("dict[Any, Any]", item)
            for key, inner in fields.items():
                rest += ((key, depth + 1, (place, key)), (inner, depth + 1, (place, key)))
        elif isinstance(item, list):
            rest += ((inner, depth + 1, (place, at)) for at, inner in enumerate(cast("list[Any]", item)))
    return value


def _at(place: _Place) -> str:
    """Where in a value that is, for people: the last few of the keys and indexes that lead there."""
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(str(step)[:_SHOWN_CHARACTERS].replace("\0", "\ufffd"))
    return f" (at {'.'.join(reversed(steps[:_SHOWN_STEPS]))})" if steps else ""


class Body(BaseModel):
    """What every request's body has in common."""

    # Clients send fields of newer versions and of features that have no meaning here; they are ignored.
    model_config = ConfigDict(extra="ignore")

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_stored(cls, value: Any) -> Any:
        return storable(value)


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(metadata, ensure_ascii=False).encode())
    if size > LARGEST_METADATA_BYTES:
        raise ValueError(
            f"metadata has {size} bytes and may have {LARGEST_METADATA_BYTES}: say it in a message or a file"
        )
    return metadata


def _few(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rest: list[Any] = [content]
    count = 0
    while rest:
        item = rest.pop()
        inner = list(cast("dict[str, Any]", item).values()) if isinstance(item, dict) else item
        if isinstance(inner, list):
            count += len(cast("list[Any]", inner))
            rest += inner
        if count > MOST_MESSAGE_VALUES:
            raise ValueError(
                f"a message has at most {MOST_MESSAGE_VALUES:,} values: send the rest as a file, or as text"
            )
    return content


Fields = Annotated[dict[str, Any], Field(max_length=MOST_KEYS)]
"""An object of which a client chooses the names."""
Words = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=64)]
"""Names of what there is: fields to select, modes of a stream."""
Metadata = Annotated[Fields, AfterValidator(_small)]
"""What clients note about what is theirs. It comes with every item of a list, so it is bounded."""
Blocks = Annotated[list[Fields], Field(max_length=MOST_ITEMS), AfterValidator(_few)]
"""Content blocks of a message."""
