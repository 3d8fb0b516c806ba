"""Lambda functions as local processes: what a function sees, and what its caller gets."""

import base64
import re
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.localstack.compute.conftest import Function
from tests.localstack.server import LocalStack, eventually

Deploy = Callable[..., Function]
HANDLER = "functions.runtime.handler"


@pytest.fixture
def function(deploy: Deploy) -> Function:
    return deploy(HANDLER)


def test_environment_is_aws_and_nothing_of_localstack(deploy: Deploy, localstack: LocalStack, code_root: Path) -> None:
    function = deploy(HANDLER, MemorySize=512, Timeout=9, Environment={"Variables": {"STAGE": "test"}})

    seen = function.invoke({"do": "describe"}).payload

    environment = seen["environment"]
    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_ENDPOINT_URL": localstack.endpoint_url,
        "LAMBDA_TASK_ROOT": str(code_root),
        "TZ": ":UTC",
        "_HANDLER": HANDLER,
        "STAGE": "test",
    }
    assert expected.items() <= environment.items()
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "_X_AMZN_TRACE_ID"} <= environment.keys()
    assert not [name for name in environment if name.startswith(("LOCALSTACK", "SUNA_LOG", "VIRTUAL_ENV", "PYTEST"))]
    assert seen["cwd"] == str(code_root)
    assert seen["path"][0] == str(code_root)
    assert not [entry for entry in seen["path"] if entry.endswith("site-packages")]
    assert 8_000 < seen["remaining_ms"] <= 9_000
    assert seen["function_arn"] == function.arn


def test_packages_of_localstack_are_not_importable(function: Function) -> None:
    names = ["awslambdaric", "localstack", "boto3", "moto", "suna_localstack"]

    assert function.invoke({"do": "importable", "names": names}).payload == ["awslambdaric"]


def test_client_context_reaches_the_function(function: Function) -> None:
    context = base64.b64encode(b'{"custom": {"tenant": "a"}}').decode()

    assert function.invoke({"do": "describe"}, ClientContext=context).payload["client_context"] == {"tenant": "a"}
    assert function.invoke({"do": "describe"}).payload["client_context"] is None


def test_warm_invocations_share_a_worker(function: Function) -> None:
    first = function.invoke()

    assert function.invoke().payload == first.payload
    assert "Init Duration" in first.log


def test_exception_keeps_the_worker(function: Function) -> None:
    pid = function.invoke().payload["pid"]

    answer = function.invoke({"do": "raise", "message": "no such thing"})

    assert answer.error
    assert answer.payload["errorType"] == "LookupError"
    assert answer.payload["errorMessage"] == "no such thing"
    assert "in handler" in "".join(answer.payload["stackTrace"])
    assert "[ERROR] LookupError: no such thing\nTraceback" in answer.log
    assert function.invoke().payload["pid"] == pid


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1, "Runtime exited with error: exit status 1"), (0, "Runtime exited without providing a reason")],
)
def test_exit_is_a_runtime_exit_error(function: Function, code: int, reason: str) -> None:
    answer = function.invoke({"do": "exit", "code": code})

    assert answer.error
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert re.fullmatch(rf"RequestId: [0-9a-f-]+ Error: {reason}", answer.payload["errorMessage"])
    assert not function.invoke().error


def test_killed_worker_fails_its_invocation_at_once_and_the_next_has_a_new_one(
    function: Function, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function.invoke({"do": "hang", "pids": str(pids)})))
    thread.start()
    worker = int(eventually(lambda: pids.read_text() if pids.exists() else None).split()[0])

    psutil.Process(worker).kill()
    thread.join(2)

    assert answers[0].payload["errorType"] == "Runtime.ExitError"
    assert answers[0].payload["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert function.invoke().payload["pid"] != worker


def test_worker_killed_while_idle_is_replaced(function: Function) -> None:
    pid = function.invoke().payload["pid"]
    psutil.Process(pid).kill()
    eventually(lambda: not psutil.pid_exists(pid))

    answer = function.invoke()

    assert not answer.error
    assert answer.payload["pid"] != pid


def test_timeout_kills_the_worker_and_what_it_started(deploy: Deploy, tmp_path: Path) -> None:
    function = deploy(HANDLER, Timeout=1)
    pids = tmp_path / "pids"

    answer = function.invoke({"do": "hang", "pids": str(pids)})

    assert answer.error
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    message = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [0-9a-f-]+ Task timed out after 1\.00 seconds"
    assert re.fullmatch(message, answer.payload["errorMessage"])
    assert answer.payload["errorMessage"] in answer.log
    eventually(lambda: not [pid for pid in map(int, pids.read_text().split()) if _alive(pid)])
    assert not function.invoke().error


def test_answer_over_six_megabytes_is_refused(function: Function) -> None:
    limit = 6 * 1024 * 1024 + 100

    refused = function.invoke({"do": "answer", "size": limit - 1})  # with its quotes one byte over

    assert refused.error
    assert refused.payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(function.invoke({"do": "answer", "size": limit - 2}).payload) == limit - 2


def test_module_that_cannot_be_imported(deploy: Deploy) -> None:
    function = deploy("functions.broken.handler")

    for _ in range(2):
        answer = function.invoke()
        assert answer.error
        assert answer.payload["errorType"] == "Runtime.ImportModuleError"
        assert "a_module_that_does_not_exist" in answer.payload["errorMessage"]


def test_process_that_ends_at_import(deploy: Deploy) -> None:
    answer = deploy("functions.exits_at_import.handler").invoke()

    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith("exit status 3")


def test_other_runtimes_are_refused(localstack: LocalStack, code_root: Path) -> None:
    client = localstack.client("lambda")
    code = {"S3Bucket": "hot-reload", "S3Key": str(code_root)}
    role = "arn:aws:iam::000000000000:role/tests"
    client.create_function(FunctionName="node", Runtime="nodejs22.x", Role=role, Handler="index.handler", Code=code)

    def failed() -> dict | None:
        configuration = client.get_function_configuration(FunctionName="node")
        return configuration if configuration["State"] == "Failed" else None

    assert "only 'python3.13' can" in eventually(failed)["StateReason"]


def test_log_goes_to_cloudwatch_and_to_a_file(function: Function, localstack: LocalStack) -> None:
    lines = 5_000

    answer = function.invoke({"do": "log", "lines": lines})

    file = (localstack.log_dir / f"{function.name}.log").read_text().splitlines()
    request_id = answer.log.partition("END RequestId: ")[2].split()[0]
    started = next(line for line in file if line.startswith(f"START RequestId: {request_id}"))
    assert started.endswith(f" Pid: {answer.payload['pid']}")
    assert len([line for line in file if line.endswith("x" * 80)]) == lines
    assert [line for line in file if line.startswith("[WARNING]") and request_id in line]
    assert file[-1].startswith(f"REPORT RequestId: {request_id}\tDuration: ")

    client = localstack.client("logs")
    group = f"/aws/lambda/{function.name}"

    def messages() -> list[str]:
        groups = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if not groups:
            return []
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group)
        found = [event["message"] for page in pages for event in page["events"]]
        return found if any(message.startswith("REPORT") for message in found) else []

    stored = eventually(messages)
    assert len([message for message in stored if message.strip().endswith("x" * 80)]) == lines


def test_invocations_run_at_the_same_time(function: Function, tmp_path: Path) -> None:
    count = 6
    event = {"do": "meet", "folder": str(tmp_path), "count": count}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(function.invoke(event))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len({answer.payload["pid"] for answer in answers}) == count


def test_reserved_concurrency_throttles(function: Function, localstack: LocalStack, tmp_path: Path) -> None:
    client = localstack.client("lambda")
    client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=1)
    started, until = tmp_path / "started", tmp_path / "until"
    event = {"do": "wait", "started": str(started), "until": str(until)}
    thread = threading.Thread(target=function.invoke, args=[event])
    thread.start()
    eventually(started.exists)

    with pytest.raises(client.exceptions.TooManyRequestsException):
        function.invoke()

    until.touch()
    thread.join(10)
    assert not function.invoke().error


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
