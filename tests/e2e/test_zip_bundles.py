"""The functions from bundles, as AWS gets them, deployed by the plain CDK command."""

import os
import subprocess
from collections.abc import Generator

import httpx
import pytest

from tests.e2e.conftest import LOCAL_DIR, ROOT, RunningStack
from tests.e2e.following import events_of_run, subscribed, text_of
from tests.e2e.threads import ended_run, new_thread, start_run


def cdk(stack: RunningStack, *arguments: str) -> None:
    """The CDK command line against the stack's LocalStack."""
    endpoint = stack.fields["aws_endpoint_url"]
    environment = os.environ | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }
    done = subprocess.run(
        [ROOT / "node_modules/.bin/cdk", *arguments, "--output", LOCAL_DIR / "cdk.out", "--no-notices"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def bundled(stack: RunningStack) -> Generator[RunningStack]:
    """The stack, updated to run from zip files built for this machine's platform."""
    cdk(stack, "bootstrap", "aws://000000000000/us-east-1", "--app", "")
    cdk(stack, "deploy", "-c", "stage=local", "-c", "code=bundle", "--require-approval", "never")
    yield stack


async def test_a_run_is_executed_by_functions_from_bundles(
    bundled: RunningStack, http: httpx.AsyncClient, account_id: str
) -> None:
    functions = bundled.aws("lambda")
    for name in ("Http", "WebSocket", "QueueRunner"):
        function = functions.get_function(FunctionName=bundled.fields["outputs"][f"{name}FunctionName"])
        assert "hot-reload" not in function["Code"]["Location"]
        assert function["Configuration"]["CodeSize"] > 1_000_000

    thread_id = await new_thread(http)
    async with subscribed(bundled.client_of(account_id), thread_id) as socket:
        run = await start_run(http, thread_id, "[[say from a bundle]]")
        events = await events_of_run(socket)

    assert text_of(events) == "from a bundle"
    assert (await ended_run(http, run))["status"] == "success"
