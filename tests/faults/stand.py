"""The deployed stack with points in its functions' code, and a control outside of it."""

import json
import os
import shutil
import signal
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from redis import Redis

from tests.cable import Cable
from tests.e2e.conftest import RunningStack, own_code
from tests.faults.control import Control

HERE = Path(__file__).parent

GROUPS = {
    "api": ["Http", "WebSocket", "Watch"],
    "runner": ["QueueRunner", "WorkflowRunner"],
    "summarizer": ["Summarizer"],
}
_MAINS = {
    "api": ["functions/api/http/main.py", "functions/api/websocket/main.py", "functions/api/watch/main.py"],
    "runner": ["functions/runner/main.py"],
    "summarizer": ["functions/summarizer/main.py"],
}
_INSTALL = "\n\nfrom shared import fault_points  # noqa: E402, F401\n"
_FAKETIME = [
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/faketime/libfaketime.so.1"),
]

_MOST_RESTARTS = 4
_RESTARTS_WITHIN_S = 62.0


@dataclass
class Stand:
    """What the cases work on."""

    stack: RunningStack
    control: Control
    folder: Path
    cable: Cable
    killed_at: list[float] = field(default_factory=list[float])

    @property
    def rest_s(self) -> float:
        """How long to wait before the next server is killed: the supervisor gives up on one that dies too often."""
        recent = [at for at in self.killed_at if time.monotonic() - at < _RESTARTS_WITHIN_S]
        return 0.0 if len(recent) < _MOST_RESTARTS else _RESTARTS_WITHIN_S - (time.monotonic() - recent[0])

    def kill_redis(self) -> int:
        """Kill it; returns the process id that it had."""
        pid = int(self.redis.info("server")["process_id"])
        self._kill_server(pid)
        return pid

    def kill_postgres(self) -> int:
        """Kill its first process; returns its id."""
        pid = self.postmaster.pid
        self._kill_server(pid)
        return pid

    def _kill_server(self, pid: int) -> None:
        self.killed_at.append(time.monotonic())
        kill(pid)

    @property
    def redis(self) -> Any:
        """A client of the stack's Redis, made anew: the server may have died since the last one.

        It is one server, which is killed: a cluster of one node does what an ordinary Redis does, for any key.
        """
        return Redis.from_url(self.stack.fields["redis_url"], decode_responses=True, socket_timeout=5)

    @property
    def postmaster(self) -> psutil.Process:
        """PostgreSQL's first process."""
        port = self.stack.fields["database_url"].rpartition(":")[2].partition("/")[0]
        for found in psutil.process_iter(["name", "cmdline"]):
            arguments = found.info["cmdline"] or []
            if "postgres" in str(found.info["name"]) and "-D" in arguments and _listens(found, int(port)):
                return found
        raise AssertionError(f"no PostgreSQL listens on port {port}")

    def environment(self, function: str, changes: dict[str, str | None]) -> dict[str, str]:
        """Change a function's environment variables (``None`` removes one); returns what they were."""
        client = self.stack.aws("lambda")
        name = self.stack.fields["outputs"][f"{function}FunctionName"]
        before = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        after = {key: value for key, value in (before | changes).items() if value is not None}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": after})
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
        return before

    def own_cable(self, function: str) -> str:
        """The ARN of a secret by which the function reaches PostgreSQL over the cable."""
        secrets = self.stack.aws("secretsmanager")
        there = secrets.get_secret_value(SecretId=self.environment(function, {})["DATABASE_SECRET_ARN"])["SecretString"]
        over = json.dumps(json.loads(there) | {"host": "127.0.0.1", "port": self.cable.port})
        return secrets.create_secret(Name=f"cable-{time.time_ns()}", SecretString=over)["ARN"]

    @contextmanager
    def clock(self) -> Generator[Path]:
        """The runners' clock is what the yielded file says (libfaketime's words); the monotonic one stays."""
        library = next((path for path in _FAKETIME if path.exists()), None)
        if library is None:
            raise AssertionError("libfaketime is missing: install Debian's package faketime")
        file = self.folder / "clock"
        file.write_text("+0", encoding="ascii")
        variables: dict[str, str | None] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            # A process looks at the file each time: one that had looked just before would jump later than the others.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        for function in GROUPS["runner"]:
            self.environment(function, variables)
        try:
            yield file
        finally:
            file.write_text("+0", encoding="ascii")
            for function in GROUPS["runner"]:
                self.environment(function, dict.fromkeys(variables))


@contextmanager
def standing(stack: RunningStack, folder: Path) -> Generator[Stand]:
    """Put the points in place, and take them away at the end."""
    with ExitStack() as opened:
        control = Control(aws_url=stack.fields["aws_endpoint_url"])
        opened.callback(control.close)
        cable = Cable(urlsplit(stack.fields["database_url"]).port or 5432)
        opened.callback(cable.cut)
        cable.plug()
        stand = Stand(stack, control, folder, cable)
        told: dict[str, str | None] = {
            "FAULTS_CONTROL": control.address,
            "AWS_ENDPOINT_URL_SQS": control.aws_url,
            "AWS_ENDPOINT_URL_SFN": control.aws_url,
            "AWS_ENDPOINT_URL_DYNAMODB": control.aws_url,
        }
        for group, functions in GROUPS.items():
            for function in functions:
                own = told | ({"DATABASE_SECRET_ARN": stand.own_cable(function)} if group == "runner" else {})
                before = stand.environment(function, own)
                back: dict[str, str | None] = dict.fromkeys(told) | dict(before)
                opened.callback(stand.environment, function, back)
        for group, functions in GROUPS.items():

            def prepare(source: Path, group: str = group) -> None:
                shutil.copy(HERE / "points.py", source / "shared/fault_points.py")
                shutil.copy(HERE / "effects.py", source / "functions/runner/tools/custom/effects.py")
                for main in _MAINS[group]:
                    with (source / main).open("a", encoding="utf-8") as file:
                        file.write(_INSTALL)

            opened.enter_context(own_code(stack, group, functions, folder / group, prepare=prepare))
        # The first start of a runner writes the catalogue, from which the API knows the tools.
        name = stack.fields["outputs"]["QueueRunnerFunctionName"]
        answer = stack.aws("lambda").invoke(FunctionName=name, Payload=b'{"Records": []}')
        assert "FunctionError" not in answer, answer["Payload"].read()
        yield stand


def kill(pid: int) -> None:
    """End a process for good; returns when it is gone."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    try:
        process.wait(20)
    except psutil.TimeoutExpired:
        # Its parent has not asked after it yet.
        assert process.status() == psutil.STATUS_ZOMBIE, f"process {pid} is still {process.status()}"


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(found.laddr and found.laddr.port == port for found in process.net_connections())
    except psutil.Error:
        return False
