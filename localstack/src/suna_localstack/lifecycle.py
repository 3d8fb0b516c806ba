"""The events of LocalStack's life cycle that a plugin hooks into, with the types that LocalStack leaves out."""
# pyright: reportUnknownMemberType=false
# LocalStack makes these decorators of functions without annotations.

from collections.abc import Callable
from typing import Protocol, cast

from localstack.runtime import hooks


class _Event(Protocol):
    """``@event()`` makes a function an entry point; of several, that of the highest priority is called first."""

    def __call__(self, *, priority: int = 0) -> Callable[[Callable[[], None]], object]: ...


on_runtime_create = cast(_Event, hooks.on_runtime_create)
on_infra_start = cast(_Event, hooks.on_infra_start)
on_infra_ready = cast(_Event, hooks.on_infra_ready)
on_infra_shutdown = cast(_Event, hooks.on_infra_shutdown)
