"""Functions run from source locally: a changed file is in the next invocation, without a deployment."""

import shutil
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ROOT, RunningStack
from tests.e2e.following import eventually


@pytest.fixture
def own_code(stack: RunningStack, tmp_path: Path) -> Generator[Path]:
    """The HTTP function with a copy of the sources of its own; yields their folder."""
    function = stack.fields["outputs"]["HttpFunctionName"]
    functions = stack.aws("lambda")
    code = tmp_path / "api"
    installed = ROOT / ".local" / "code" / "api"
    # Dependencies by hard link: a copy that costs no space. The sources, by symlink, are what is watched for changes.
    shutil.copytree(installed, code, symlinks=True, copy_function=lambda source, target: Path(target).hardlink_to(source))
    for name in ("functions", "shared"):
        shutil.copytree(ROOT / name, tmp_path / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        (code / name).unlink()
        (code / name).symlink_to(tmp_path / "source" / name)
    functions.update_function_code(FunctionName=function, S3Bucket="hot-reload", S3Key=str(code))
    functions.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    try:
        yield tmp_path / "source"
    finally:
        functions.update_function_code(FunctionName=function, S3Bucket="hot-reload", S3Key=str(installed))
        functions.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})


async def test_a_code_change_is_picked_up_without_a_deployment(own_code: Path, http: httpx.AsyncClient) -> None:
    async def ask() -> dict[str, bool]:
        return (await http.get("/ok")).json()

    await eventually(ask, lambda answer: answer == {"ok": True})
    app = own_code / "functions/api/http/app.py"
    text = app.read_text(encoding="utf-8")
    assert text.count('return {"ok": True}') == 1

    app.write_text(text.replace('return {"ok": True}', 'return {"ok": True, "changed": True}'), encoding="utf-8")

    assert await ask() == {"ok": True, "changed": True}
