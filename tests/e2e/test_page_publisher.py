"""The page's custom resource against real S3: what a deployment to the cloud does with it."""

import io
import json
import os
import subprocess
import threading
import uuid
import zipfile
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, RunningStack

INVOKE = "import json, sys; from functions.api.page.main import handler; handler(json.load(sys.stdin), None)"


@pytest.fixture
def told() -> Generator[tuple[str, list[dict[str, Any]]]]:
    """Where CloudFormation waits for an answer, and the answers."""
    answers: list[dict[str, Any]] = []

    class CloudFormation(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), CloudFormation)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", answers
    server.shutdown()
    thread.join()
    server.server_close()


def publish(stack: RunningStack, url: str, **properties: Any) -> None:
    """Invoke the function as CloudFormation does."""
    event = {
        "RequestType": "Create",
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": str(uuid.uuid4()),
        "LogicalResourceId": "Page",
        "ResourceProperties": properties,
    }
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": stack.fields["aws_endpoint_url"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "STAGE": "local",
    }
    done = subprocess.run(
        [ROOT / ".local/venvs/dev/bin/python", "-c", INVOKE],
        input=json.dumps(event),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_files_and_configuration_are_put_where_the_edge_reads(
    stack: RunningStack, told: tuple[str, list[dict[str, Any]]]
) -> None:
    # GIVEN a built page among the deployment's assets
    s3 = stack.aws("s3")
    bucket = f"page-{uuid.uuid4()}"
    s3.create_bucket(Bucket=bucket)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("index.html", "<!doctype html>")
        archive.writestr("assets/index-1.js", "let a")
    s3.put_object(Bucket=bucket, Key="asset.zip", Body=held.getvalue())
    url, answers = told

    # WHEN the resource is created
    config = {"issuer": "https://issuer.test"}
    publish(stack, url, SourceBucket=bucket, SourceKey="asset.zip", Bucket=bucket, Config=config)

    # THEN the files are there, and CloudFormation knows
    assert [(answer["Status"], answer["Data"]) for answer in answers] == [("SUCCESS", {"Files": 3})]
    index = s3.get_object(Bucket=bucket, Key="app/index.html")
    assert (index["ContentType"], index["CacheControl"]) == ("text/html; charset=utf-8", "no-cache")
    assert json.loads(s3.get_object(Bucket=bucket, Key="app/config.json")["Body"].read()) == config
    assert "immutable" in s3.get_object(Bucket=bucket, Key="app/assets/index-1.js")["CacheControl"]


def test_a_missing_archive_fails_the_deployment_with_a_reason(
    stack: RunningStack, told: tuple[str, list[dict[str, Any]]]
) -> None:
    url, answers = told
    publish(stack, url, SourceBucket="no-such-bucket", SourceKey="x", Bucket="y", Config={})

    assert answers[0]["Status"] == "FAILED"
    assert "NoSuchBucket" in answers[0]["Reason"]
