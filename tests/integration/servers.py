"""The real servers behind the tests: PostgreSQL, Redis (of both kinds) and LocalStack, on 127.0.0.1 only."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
LOCALSTACK_PYTHON = ROOT / ".local/venvs/localstack/bin/python"

_URLS = ("DATABASE_URL", "REDIS_URL", "PLAIN_REDIS_URL")

# Says where the servers are, and lives until its standard input ends: so they end when the tests do, however.
_TELL_AND_WAIT = f"""
import json, os, sys
print(json.dumps({{name: os.environ[name] for name in {_URLS!r}}}), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Servers:
    """Where the servers are: ``redis_url`` is that of a cluster, ``plain_redis_url`` that of an ordinary one."""

    database_url: str
    redis_url: str
    plain_redis_url: str
    aws_endpoint_url: str


@contextmanager
def _process(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [str(LOCALSTACK_PYTHON), "-m", *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT, **options
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


@contextmanager
def services() -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis: those of the environment (``make test`` starts them), else embedded ones."""
    if os.environ.keys() >= set(_URLS):
        yield {name: os.environ[name] for name in _URLS}
        return
    command = ["suna_localstack.up", "with-services", "--", sys.executable, "-c", _TELL_AND_WAIT]
    with _process(command, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told, "the embedded services did not start"
        yield json.loads(told)


@contextmanager
def _localstack() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="suna-tests-") as folder:
        command = ["suna_localstack.host", "--port", str(port), "--state-dir", folder]
        with open(f"{folder}/localstack.log", "w") as log, _process(command, stderr=log) as process:
            assert process.stdout is not None
            if not any(line.strip() == "Ready." for line in process.stdout):
                raise RuntimeError(Path(log.name).read_text()[-2000:])
            yield f"http://127.0.0.1:{port}"


@contextmanager
def servers() -> Iterator[Servers]:
    """All of them, started and ended together."""
    with ExitStack() as stack:
        aws_endpoint_url = stack.enter_context(_localstack())
        urls = stack.enter_context(services())
        yield Servers(urls["DATABASE_URL"], urls["REDIS_URL"], urls["PLAIN_REDIS_URL"], aws_endpoint_url)
