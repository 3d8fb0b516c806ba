"""Tools as users write them: a class whose methods the model can call."""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from pydantic import BaseModel

from functions.runner.tools import signature
from functions.runner.tools.errors import ToolDefinitionError
from functions.runner.tools.function import ToolContext, ToolFunction
from functions.runner.tools.result import ToolResult
from functions.runner.tools.signature import Signature
from functions.runner.tools.threads import in_thread
from shared.domain import Json

_MARK = "__tool_function__"


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """What the decorator says about a method."""

    name: str | None
    idempotent: bool
    needs_approval: bool
    timeout_s: float
    ends_run: Literal["completed", "needs_input"] | None
    blocking: bool


def tool_function[**P, R](
    *,
    name: str | None = None,
    idempotent: bool = False,
    needs_approval: bool = False,
    timeout_s: float = 60.0,
    ends_run: Literal["completed", "needs_input"] | None = None,
    blocking: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let the model call this method of a :class:`Tool`.

    The method's type hints become the JSON Schema of its arguments, its docstring the descriptions. A parameter with
    the hint :class:`ToolContext` is not the model's: it gets the context of the call. What the method returns is told
    to the model: text, anything that JSON can hold, a pydantic model, or a :class:`ToolResult`; what it raises, too.

    Args:
        name: what the model calls it; by default the method's name.
        idempotent: a call may be repeated under the same ``call_id`` after a crash. Otherwise a call whose end is
            unknown is never repeated, and the model is told so.
        needs_approval: a person must agree to each call.
        timeout_s: how long a call may take.
        ends_run: how the run ends once a call has succeeded.
        blocking: the method is not ``async`` and runs in a thread: for blocking I/O, and for CPU work over 50 ms,
            which must not hold up the other runs of the process. A thread cannot be ended: past its time limit it
            goes on unheard.

    Raises:
        ToolDefinitionError: ``async`` and ``blocking`` do not go together; without either, the event loop would block.
    """
    declared = _Declared(
        name=name,
        idempotent=idempotent,
        needs_approval=needs_approval,
        timeout_s=timeout_s,
        ends_run=ends_run,
        blocking=blocking,
    )

    def declare(method: Callable[P, R]) -> Callable[P, R]:
        where, is_async = getattr(method, "__qualname__", repr(method)), _is_async(method)
        if blocking and is_async:
            raise ToolDefinitionError(f"{where} is async: it must not be declared blocking=True")
        if not blocking and not is_async:
            raise ToolDefinitionError(f"{where} must be `async def`, or be declared blocking=True to run in a thread")
        setattr(method, _MARK, declared)
        return method

    return declare


def _is_async(method: object) -> bool:
    return inspect.iscoroutinefunction(method)


class Tool:
    """Base of all tools. ``name`` is how assistants name the tool; by default the class's name in snake case.

    A tool from the catalog is made without arguments, once a process; it serves concurrent runs, so what belongs to
    one call must not be kept on it.
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
            cls.name = words.removesuffix("_tool") or words

    def functions(self) -> list[ToolFunction]:
        """The functions that the model can call, in the order of their definition.

        Raises:
            ToolDefinitionError: a method cannot be called by a model as it is, or there is none.
        """
        functions = [_function(self, name, method, declared) for name, method, declared in _declared(type(self))]
        if not functions:
            raise ToolDefinitionError(f"{type(self).__qualname__} has no method decorated with @tool_function()")
        return functions


def _declared(cls: type[Tool]) -> Iterator[tuple[str, Callable[..., Any], _Declared]]:
    """Decorated methods, those of base classes first; one that a subclass overrides counts as the subclass has it."""
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    for name in names:
        method = inspect.getattr_static(cls, name)
        declared = getattr(method, _MARK, None)
        if isinstance(declared, _Declared):
            yield name, method, declared


@functools.cache
def _signature(method: Callable[..., Any]) -> Signature:
    return signature.of(method, where=method.__qualname__)


def _function(tool: Tool, name: str, method: Callable[..., Any], declared: _Declared) -> ToolFunction:
    taken = _signature(method)
    bound = method.__get__(tool)

    async def invoke(arguments: Json, context: ToolContext) -> ToolResult:
        values = taken.check(arguments)
        if taken.context_parameter is not None:
            values[taken.context_parameter] = context
        call = functools.partial(bound, **values)
        return as_result(await (in_thread(call) if declared.blocking else cast(Awaitable[Any], call())))

    return ToolFunction(
        name=declared.name or name,
        description=taken.description,
        parameters=taken.parameters,
        invoke=invoke,
        idempotent=declared.idempotent,
        needs_approval=declared.needs_approval,
        timeout_s=declared.timeout_s,
        ends_run=declared.ends_run,
    )


def as_result(returned: Any) -> ToolResult:
    """What a method returned, as the result of a successful call."""
    match returned:
        case ToolResult():
            return returned
        case None:
            return ToolResult(True, "done")
        case BaseModel():
            return ToolResult(True, returned.model_dump(mode="json"))
        case bool() | int() | float():
            # A bare number is JSON, and text to a model.
            return ToolResult(True, repr(returned).lower() if isinstance(returned, bool) else repr(returned))
        case _:
            return ToolResult(True, returned)
