"""Functions from source, as the stack runs them: a code root whose links lead to the source folders."""

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.localstack.server import LocalStack

ROLE = "arn:aws:iam::000000000000:role/tests"


@dataclass(frozen=True)
class Answer:
    """What an invocation ends with."""

    payload: Any
    error: bool
    log: str


class Function:
    """A deployed function."""

    def __init__(self, localstack: LocalStack, name: str) -> None:
        self.name = name
        self._client = localstack.client("lambda")

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.name}"

    def invoke(self, event: dict[str, Any] | None = None, **options: Any) -> Answer:
        response = self._client.invoke(
            FunctionName=self.name, Payload=json.dumps(event or {}), LogType="Tail", **options
        )
        log = base64.b64decode(response.get("LogResult", "")).decode()
        return Answer(json.loads(response["Payload"].read() or "null"), "FunctionError" in response, log)


@pytest.fixture(scope="session")
def code_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A code root with a link to the test functions."""
    root = tmp_path_factory.mktemp("code")
    (root / "functions").symlink_to(Path(__file__).with_name("functions"))
    return root


@pytest.fixture
def deploy(localstack: LocalStack, code_root: Path) -> Callable[..., Function]:
    """Create a function from source; it is active when this returns."""

    def create(handler: str, *, root: Path = code_root, **options: Any) -> Function:
        name = f"test-{uuid.uuid4().hex[:8]}"
        client = localstack.client("lambda")
        settings = {
            "Runtime": "python3.13",
            "Role": ROLE,
            "Handler": handler,
            "Code": {"S3Bucket": "hot-reload", "S3Key": str(root)},
            "Timeout": 20,
            **options,
        }
        client.create_function(FunctionName=name, **settings)
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
        return Function(localstack, name)

    return create
