"""The scripted model as a server."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.integration.servers import LOCALSTACK_PYTHON, ROOT
from tests.ports import free_port


@dataclass(frozen=True)
class ModelServer:
    """Where it is, and what it was asked."""

    url: str

    def _ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def calls(self) -> list[list[dict[str, Any]]]:
        """The messages of every call, in order."""
        return [call["body"]["messages"] for call in self._ask("GET", "/calls?last=500")["calls"]]

    def forget(self) -> None:
        """Forget the calls."""
        self._ask("DELETE", "/calls")


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """The one of the environment (``make test`` starts it), else one of our own."""
    if "MODEL_URL" in os.environ:
        yield ModelServer(os.environ["MODEL_URL"])
        return
    port = free_port()
    command = [str(LOCALSTACK_PYTHON), "-m", "suna_localstack.model", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            _wait_until_listening(port, process)
            yield ModelServer(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait_until_listening(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            ModelServer(f"http://127.0.0.1:{port}").calls()
        except OSError:
            continue
        return
    raise RuntimeError(f"the scripted model ended with {process.returncode}")
