"""What a cold start does not pay for. Each function's root is imported in a process of its own; nothing is timed."""

import json
import subprocess
import sys

import pytest

# The slow ones: a model library, SDK layers that nobody here uses, and servers that the function does not talk to.
MODELS = {"litellm", "openai", "tiktoken", "tokenizers"}
WEB = {"fastapi", "starlette", "mangum"}
TOKENS = {"jwt", "cryptography"}
LOG = {"redis"}
SDK_LAYERS = {"boto3.dynamodb", "boto3.s3", "boto3.ec2", "s3transfer", "aws_xray_sdk"}

NEVER = {
    "functions.api.http.main": MODELS | LOG | SDK_LAYERS,
    "functions.api.websocket.main": MODELS | WEB | LOG | SDK_LAYERS,
    "functions.api.watch.main": MODELS | WEB | {"jwt"} | SDK_LAYERS,
    "functions.api.sender.main": MODELS | WEB | {"jwt"} | SDK_LAYERS,
    "functions.api.migrate.main": MODELS | WEB | TOKENS | LOG | SDK_LAYERS,
}

PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(sys.modules)))
"""


def _imported_by(module: str) -> set[str]:
    # Nothing in the environment: an import must neither read settings nor look for AWS.
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, module], capture_output=True, text=True, check=False, env={"PYTHONPATH": "."}
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout))


@pytest.mark.parametrize("module", sorted(NEVER))
def test_a_cold_start_does_not_import(module: str) -> None:
    imported = _imported_by(module)
    assert module in imported
    assert sorted(imported & NEVER[module]) == []
