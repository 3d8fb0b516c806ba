"""A function's code: folders that are watched, and bundles."""

import io
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.localstack.compute.conftest import ROLE, Function
from tests.localstack.server import LocalStack, eventually

Deploy = Callable[..., Function]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source folder outside the code root that links to it."""
    folder = tmp_path / "source" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "package").symlink_to(folder)
    return folder


def test_changed_file_is_used_by_the_next_invocation(deploy: Deploy, source: Path) -> None:
    module = source / "module.py"
    module.write_text("VERSION = 1\ndef handler(event, context):\n    return VERSION\n")
    function = deploy("package.module.handler", root=source.parents[1] / "root")

    seen = [function.invoke().payload]
    for version in range(2, 6):  # of the same size, and several within the second that bytecode is checked by
        module.write_text(module.read_text().replace(f"= {version - 1}", f"= {version}"))
        seen.append(function.invoke().payload)

    assert seen == [1, 2, 3, 4, 5]


def test_busy_worker_ends_its_invocation_on_the_old_code(deploy: Deploy, source: Path, tmp_path: Path) -> None:
    started, until = tmp_path / "started", tmp_path / "until"
    module = source / "module.py"
    module.write_text(
        "import pathlib, time\n"
        "def handler(event, context):\n"
        "    if event:\n"
        "        pathlib.Path(event['started']).touch()\n"
        "        while not pathlib.Path(event['until']).exists(): time.sleep(0.005)\n"
        "    return 'old'\n"
    )
    function = deploy("package.module.handler", root=source.parents[1] / "root")
    answers = []
    event = {"started": str(started), "until": str(until)}
    thread = threading.Thread(target=lambda: answers.append(function.invoke(event)))
    thread.start()
    eventually(started.exists)

    module.write_text(module.read_text().replace("old", "new"))

    assert function.invoke().payload == "new"
    until.touch()
    thread.join(10)
    assert answers[0].payload == "old"
    assert {function.invoke().payload for _ in range(3)} == {"new"}


def test_bundle_runs_and_is_replaced_by_an_update(localstack: LocalStack, deploy: Deploy) -> None:
    function = deploy(
        "package.module.handler", root=Path(), Code={"ZipFile": _bundle("from dependency import NAME", "NAME = 'one'")}
    )
    client = localstack.client("lambda")

    assert function.invoke().payload == "one"

    client.update_function_code(
        FunctionName=function.name, ZipFile=_bundle("from dependency import NAME", "NAME = 'two'")
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 0.05})
    assert function.invoke().payload == "two"


def test_configuration_update_restarts_the_workers(localstack: LocalStack, deploy: Deploy) -> None:
    function = deploy("functions.runtime.handler", Environment={"Variables": {"STAGE": "one"}})
    assert function.invoke({"do": "describe"}).payload["environment"]["STAGE"] == "one"

    client = localstack.client("lambda")
    client.update_function_configuration(
        FunctionName=function.name, Role=ROLE, Environment={"Variables": {"STAGE": "two"}}
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 0.05})

    assert function.invoke({"do": "describe"}).payload["environment"]["STAGE"] == "two"


def _bundle(import_line: str, dependency: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("package/__init__.py", "")
        bundle.writestr("package/module.py", f"{import_line}\ndef handler(event, context):\n    return NAME\n")
        bundle.writestr("dependency.py", dependency)
    return buffer.getvalue()
