"""The tools that exist: the built-in ones, and each module of ``functions.runner.tools.custom``."""

import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import ModuleType

from functions.runner.tools import custom
from functions.runner.tools.builtin.conversation import Ask, Complete
from functions.runner.tools.builtin.expand_message import ExpandMessage
from functions.runner.tools.builtin.http_fetch import HttpFetch
from functions.runner.tools.errors import CatalogError, DuplicateToolError, UnknownToolError
from functions.runner.tools.tool import Tool
from shared.scrubbing import scrubbed
from shared.telemetry import logger

BUILT_IN: tuple[type[Tool], ...] = (Ask, Complete, ExpandMessage, HttpFetch)


@dataclass(frozen=True)
class Catalog:
    """Tools by name, and the files that are left out: name of the module -> why.

    One broken file is no reason to refuse runs that do not need it.
    """

    tools: Mapping[str, type[Tool]]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])

    def get(self, name: str) -> type[Tool]:
        """The tool of that name.

        Raises:
            UnknownToolError: there is none; the message says which there are, and which files are left out.
        """
        tool = self.tools.get(name)
        if tool is None:
            # The reasons are in the log: they name paths, and what is in the files.
            files = ", ".join(f"{module}.py" for module in self.left_out)
            broken = f"; left out, since they cannot be used: {files} (the runner's log says why)" if files else ""
            raise UnknownToolError(f"there is no tool {name!r}; there are {', '.join(sorted(self.tools))}{broken}")
        return tool


@cache
def catalog() -> Catalog:
    """Every tool. The custom modules are imported at the first call; those that cannot be used are logged."""
    return discover(custom, built_in=BUILT_IN)


def discover(package: ModuleType, *, built_in: tuple[type[Tool], ...] = ()) -> Catalog:
    """``built_in`` and the tools of ``package``'s modules, but for modules that cannot be used.

    Modules whose name begins with an underscore are not looked at: they hold what tools share.
    """
    found = {tool.name: tool for tool in built_in}
    left_out: dict[str, str] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if module.name.startswith("_"):
            continue
        file = f"{package.__path__[0]}/{module.name}.py"
        try:
            found |= _tools_of(f"{package.__name__}.{module.name}", file, known=found)
        except (CatalogError, DuplicateToolError) as error:
            left_out[module.name] = error.message
            logger.exception("a file of tools is left out", extra={"file": file, "reason": error.message})
    return Catalog(found, left_out)


def _tools_of(name: str, file: str, *, known: Mapping[str, type[Tool]]) -> dict[str, type[Tool]]:
    """The usable tools of a module; all of them or none.

    Raises:
        CatalogError: it cannot be imported, or has no tool, or a tool that is not defined as it must be.
        DuplicateToolError: it has a tool of a name that is known.
    """
    try:
        module = import_module(name)
        tools = [
            value
            for value in vars(module).values()
            if inspect.isclass(value) and issubclass(value, Tool) and value.__module__ == name
        ]
        for tool in tools:
            tool().functions()
    except (Exception, SystemExit) as error:
        # Whatever the module does: the reader needs to know which file it was.
        raise CatalogError(f"{file} cannot be imported: {type(error).__name__}: {scrubbed(str(error))}") from error
    if not tools:
        raise CatalogError(f"{file} defines no subclass of Tool: name it _{file.rsplit('/', 1)[-1]} if it is no tool")
    found: dict[str, type[Tool]] = {}
    for tool in tools:
        other = known.get(tool.name) or found.setdefault(tool.name, tool)
        if other is not tool:
            raise DuplicateToolError(
                f"there are two tools of the name {tool.name!r}: {inspect.getfile(other)} and {inspect.getfile(tool)}"
            )
    return found
