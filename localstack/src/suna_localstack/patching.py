"""LocalStack's way to replace a method, with the types that it leaves out."""

from collections.abc import Callable
from typing import Any, Concatenate, cast

from localstack.utils.patch import patch  # pyright: ignore[reportUnknownVariableType] - not annotated


def replace[**P, R](
    method: Callable[P, R],
) -> Callable[[Callable[Concatenate[Callable[P, R], P], R]], Callable[Concatenate[Callable[P, R], P], R]]:
    """Put the decorated function in the place of ``method``, at once; it gets the original, then the arguments."""
    return cast(Any, patch)(method)
