"""LocalStack's processes: where they listen, what they keep, and that none outlives it."""

import threading
from collections.abc import Callable
from pathlib import Path

import botocore.exceptions
import psutil
import pytest

from tests.localstack.compute.conftest import ROLE, Function
from tests.localstack.server import LocalStack, eventually, localstack_server


def test_everything_listens_on_the_loopback_interface(localstack: LocalStack, deploy: Callable[..., Function]) -> None:
    deploy("functions.runtime.handler").invoke()
    process = psutil.Process(localstack.process.pid)

    listening = {
        connection.laddr
        for member in (process, *process.children(recursive=True))
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }

    assert (localstack.port) in {address.port for address in listening}
    assert len(listening) >= 2
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_no_memory_is_kept_mapped_for_an_invocation_that_has_ended(
    localstack: LocalStack, deploy: Callable[..., Function]
) -> None:
    function = deploy("functions.runtime.handler")
    for _ in range(10):
        function.invoke()
    before = _maps(localstack)

    for _ in range(100):
        function.invoke()

    eventually(lambda: _maps(localstack) < before + 100)


def _maps(localstack: LocalStack) -> int:
    """How many memory maps the process has: two for each stack of a thread."""
    return len(Path(f"/proc/{localstack.process.pid}/maps").read_text().splitlines())


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_no_process_is_left(tmp_path: Path, code_root: Path, end: str) -> None:
    pids_file = tmp_path / "pids"
    with localstack_server(tmp_path) as own:
        client = own.client("lambda")
        code = {"S3Bucket": "hot-reload", "S3Key": str(code_root)}
        handler = "functions.runtime.handler"
        client.create_function(
            FunctionName="f", Runtime="python3.13", Role=ROLE, Handler=handler, Code=code, Timeout=60
        )
        client.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05})
        client.invoke(FunctionName="f", Payload=b"{}")
        thread = threading.Thread(target=_invoke_hanging, args=[client, pids_file])
        thread.start()
        eventually(lambda: pids_file.exists() and pids_file.read_text())
        children = psutil.Process(own.process.pid).children(recursive=True)
        assert set(map(int, pids_file.read_text().split())) <= {child.pid for child in children}

        getattr(own.process, end)()
        own.process.wait(20)
        thread.join(20)

    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def _invoke_hanging(client, pids_file: Path) -> None:
    try:
        client.invoke(FunctionName="f", Payload=f'{{"do": "hang", "pids": "{pids_file}"}}'.encode())
    except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
        return  # LocalStack ends while it runs
