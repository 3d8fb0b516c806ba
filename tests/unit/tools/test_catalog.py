"""The tools that exist."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest

from functions.runner.tools import ToolRegistry, custom
from functions.runner.tools.builtin.conversation import Ask
from functions.runner.tools.catalog import BUILT_IN, catalog, discover
from functions.runner.tools.errors import UnknownToolError

GREETING = '''
from functions.runner.tools import Tool, tool_function

class {name}(Tool):
    @tool_function()
    async def greet(self, name: str) -> str:
        """Greet someone."""
        return f"Hello {{name}}"
'''

type MakePackage = Callable[[dict[str, str]], ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Makes a package of custom tools."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"tools_{uuid4().hex}"

    def make(files: dict[str, str]) -> ModuleType:
        folder = tmp_path / name
        folder.mkdir()
        for file, text in {"__init__.py": "", **files}.items():
            (folder / file).write_text(text, encoding="utf-8")
        return importlib.import_module(name)

    yield make
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def test_one_class_in_one_file_is_a_tool(package: MakePackage) -> None:
    found = discover(package({"greeting.py": GREETING.format(name="Greeting")}), built_in=BUILT_IN)
    assert list(found.tools) == ["ask", "complete", "expand_message", "http_fetch", "greeting"]
    assert ToolRegistry([found.get("greeting")()]).names() == ["greet"]
    assert found.left_out == {}


def test_every_tool_of_the_catalog_can_be_made_and_offered() -> None:
    registry = ToolRegistry(tool() for tool in catalog().tools.values())
    assert {"ask", "complete", "expand_message", "http_fetch"} <= set(registry.names())
    assert custom.__doc__
    assert "one class in one file" in custom.__doc__
    ends = {name: function.ends_run for name in registry.names() if (function := registry.get(name))}
    assert (ends["ask"], ends["complete"], ends["http_fetch"]) == ("needs_input", "completed", None)


def test_why_a_file_is_left_out_tells_no_key(package: MakePackage, caplog: pytest.LogCaptureFixture) -> None:
    # Not in one piece: the trace has the file's own lines.
    broken = "key = 'sk-' + 'proj-0123456789'\nraise ValueError(f'Incorrect API key provided: {key}, see {__file__}')"
    found = discover(package({"broken.py": broken}))
    assert "ValueError: Incorrect API key provided: [key], see [path]" in found.left_out["broken"]
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert "Incorrect API key provided: [key]" in logged
    assert "sk-proj" not in logged


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import a_library_that_is_not_there", "ModuleNotFoundError: No module named 'a_library_that_is_not_there'"),
        ("def (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        (
            GREETING.format(name="Broken").replace("async def", "def"),
            "ToolDefinitionError: Broken.greet must be `async def`",
        ),
        (
            GREETING.format(name="Broken") + "\n    def __init__(self) -> None:\n        raise KeyError('TOKEN')\n",
            "KeyError: 'TOKEN'",
        ),
        ("RATES = {}", "broken.py defines no subclass of Tool: name it _broken.py"),
        (GREETING.format(name="Ask"), "there are two tools of the name 'ask'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_out(text: str, why: str, package: MakePackage) -> None:
    files = {"broken.py": text, "greeting.py": GREETING.format(name="Greeting")}
    module = package(files)
    found = discover(module, built_in=(Ask,))
    # The others are there, also those that come after it.
    assert list(found.tools) == ["ask", "greeting"]
    assert found.get("ask") is Ask
    assert list(found.left_out) == ["broken"]
    assert f"{module.__path__[0]}/broken.py" in found.left_out["broken"]
    assert why in found.left_out["broken"]
    # Who asks is told which file it is; what is in it is for the log.
    with pytest.raises(
        UnknownToolError, match=r"'broken'; there are ask, greeting; left out, .*: broken\.py"
    ) as raised:
        found.get("broken")
    assert str(module.__path__[0]) not in raised.value.message


def test_what_begins_with_an_underscore_or_is_imported_is_no_tool(package: MakePackage) -> None:
    text = GREETING.format(name="Greeting") + "\nfrom functions.runner.tools.builtin.conversation import Ask\n"
    assert list(discover(package({"greeting.py": text, "_shared.py": "1 / 0"})).tools) == ["greeting"]
