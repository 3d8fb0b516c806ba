"""What parsed JSON is: to Python a dictionary's keys may be anything, while those of a JSON object are strings."""

from typing import Any, TypeIs

type Json = dict[str, Any]


def is_object(value: object) -> TypeIs[Json]:
    """Whether parsed JSON is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeIs[list[Any]]:
    """Whether parsed JSON is an array."""
    return isinstance(value, list)
