"""Paths of LocalStack's own endpoint that are answered here."""

from collections.abc import Callable
from typing import Any

from localstack.http import Response
from localstack.services.edge import ROUTER


def serve(method: str, path: str, answer: Callable[..., Response]) -> None:
    """Let ``answer`` take the requests to ``path``: the request, then the path's variables by their names."""
    # The router's annotations know handlers of a request alone, and of no variables.
    router: Any = ROUTER
    router.add(path, answer, methods=[method])
