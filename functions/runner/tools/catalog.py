"""The tools that exist: the built-in ones, and each module of ``functions.runner.tools.custom``."""

import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType

from functions.runner.tools import custom
from functions.runner.tools.builtin.conversation import Ask, Complete
from functions.runner.tools.builtin.expand_message import ExpandMessage
from functions.runner.tools.builtin.http_fetch import HttpFetch
from functions.runner.tools.errors import CatalogError, DuplicateToolError
from functions.runner.tools.tool import Tool

BUILT_IN: tuple[type[Tool], ...] = (Ask, Complete, ExpandMessage, HttpFetch)


@cache
def catalog() -> Mapping[str, type[Tool]]:
    """Every tool by its name. The custom modules are imported at the first call.

    Raises:
        CatalogError: a custom module cannot be imported or defines no tool; it names the file and the reason.
        DuplicateToolError: two tools have the same name.
    """
    return discover(custom, built_in=BUILT_IN)


def discover(package: ModuleType, *, built_in: tuple[type[Tool], ...] = ()) -> Mapping[str, type[Tool]]:
    """``built_in`` and the tools of ``package``'s modules by name. Raises as :func:`catalog`.

    Modules whose name begins with an underscore are not looked at: they hold what tools share.
    """
    found: dict[str, type[Tool]] = {}
    for tool in [*built_in, *_custom(package)]:
        other = found.setdefault(tool.name, tool)
        if other is not tool:
            raise DuplicateToolError(
                f"there are two tools of the name {tool.name!r}: {inspect.getfile(other)} and {inspect.getfile(tool)}"
            )
    return MappingProxyType(found)


def _custom(package: ModuleType) -> list[type[Tool]]:
    tools: list[type[Tool]] = []
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if not module.name.startswith("_"):
            tools += _tools_of(f"{package.__name__}.{module.name}", f"{package.__path__[0]}/{module.name}.py")
    return tools


def _tools_of(name: str, file: str) -> list[type[Tool]]:
    try:
        module = import_module(name)
    except Exception as error:
        # Whatever the module does at import: the reader needs to know which file it was.
        raise CatalogError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    tools = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Tool) and value.__module__ == name
    ]
    if not tools:
        raise CatalogError(f"{file} defines no subclass of Tool: name it _{file.rsplit('/', 1)[-1]} if it is no tool")
    return tools
