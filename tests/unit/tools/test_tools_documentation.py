"""The example of docs/tools.md works as it stands there, and importing tools stays cheap."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from functions.runner.tools import ToolContext, ToolRegistry, ToolResult, invoke
from functions.runner.tools.catalog import discover

ROOT = Path(__file__).parents[3]


async def test_the_documented_example_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: ToolContext
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/tools.md").read_text(encoding="utf-8"), re.DOTALL)
    file = re.match(r"# functions/runner/tools/custom/(\w+\.py)\n", example)
    assert file is not None
    folder = tmp_path / "documented_tools"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / file[1]).write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    found = discover(importlib.import_module("documented_tools"))
    assert list(found.tools) == ["exchange"]
    convert = ToolRegistry([found.get("exchange")()]).get("convert_money")
    assert convert is not None
    assert convert.parameters["properties"]["amount"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "how much, in euros.",
    }
    converted = await invoke(convert, {"amount": 10, "to": "CNY"}, context)
    assert converted == ToolResult(
        True, {"amount": 78.3, "currency": "CNY", "note": None, "asked_by": context.account_id}
    )
    assert not (await invoke(convert, {"amount": 2_000_000, "to": "CNY"}, context)).success
    assert "'to'" in (await invoke(convert, {"amount": 1, "to": "GBP"}, context)).text()


def test_importing_tools_imports_neither_the_mcp_client_nor_an_http_client() -> None:
    program = """
import importlib, json, sys
for name in ("functions.runner.tools", "functions.runner.tools.catalog", "functions.runner.tools.builtin.mcp"):
    importlib.import_module(name)
sys.modules["functions.runner.tools.catalog"].catalog()
print(json.dumps(sorted(sys.modules)))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": "."}
    )
    assert ended.returncode == 0, ended.stderr
    imported = set(json.loads(ended.stdout))
    assert "functions.runner.tools.builtin.mcp" in imported
    assert sorted(imported & {"mcp", "mcp_types", "httpx2", "litellm", "starlette", "uvicorn"}) == []
