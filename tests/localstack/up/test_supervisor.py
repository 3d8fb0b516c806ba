"""The whole stack as real processes: starts, crashes, ends. One stack serves the tests of this module in order."""

import asyncio
import http.server
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

import psutil
import psycopg
import pytest
import requests

from suna_localstack.services.ports import is_open
from suna_localstack.up.aws_client import client
from suna_localstack.up.processes import marked
from tests.localstack.up.commands import ROOT, alive, eventually, up


def processes_of(stack: dict[str, Any]) -> list[int]:
    """Every process of a running stack: the supervisor, its children and theirs."""
    supervisor = psutil.Process(stack["supervisor_pid"])
    return [supervisor.pid, *(process.pid for process in supervisor.children(recursive=True))]


def ports_of(stack: dict[str, Any]) -> list[int]:
    gateway = int(stack["base_url"].rsplit(":", 1)[1])
    return [gateway, *(part["port"] for part in stack["processes"])]


def nothing_left(stack: dict[str, Any], pids: list[int]) -> bool:
    """Neither a process that was there, nor one with the stack's mark, nor an open port."""
    return (
        not marked(stack["stack_id"])
        and not any(alive(pid) for pid in pids)
        and not any(is_open(port) for port in ports_of(stack))
    )


def read_stack(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "stack.json").read_text())


def part(stack: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in stack["processes"] if entry["name"] == name)


@pytest.fixture(scope="module")
def stack(local_dir: Path) -> dict[str, Any]:
    """A stack started by `up`."""
    result = up(local_dir, "up")
    assert result.returncode == 0, result.stderr
    assert "Ready after" in result.stdout
    return read_stack(local_dir)


def test_describes_itself_to_its_owner_only(stack: dict[str, Any], local_dir: Path) -> None:
    expected = "base_url http_url websocket_url database_url redis_url aws_endpoint_url model_url token jwt_secret"

    assert set(expected.split()) <= set(stack)
    assert stat.S_IMODE((local_dir / "stack.json").stat().st_mode) == 0o600
    shell = ["sh", "-c", '. "$1" && echo "$BASE $TOKEN"', "sh", local_dir / "stack.env"]
    said = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    assert said == f"{stack['base_url']} {stack['token']}\n"
    stacks = client("cloudformation", stack["aws_endpoint_url"]).describe_stacks(StackName=stack["stack_name"])
    assert stacks["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    assert requests.get(f"{stack['model_url']}/jwks.json", timeout=5).json()["keys"]


def test_listens_on_loopback_only(stack: dict[str, Any]) -> None:
    listening = set()
    for pid in processes_of(stack):
        for entry in psutil.Process(pid).net_connections("inet"):
            if entry.status == psutil.CONN_LISTEN:
                listening.add(entry.laddr.ip)

    assert listening == {"127.0.0.1"}


def test_a_second_up_finds_it_running(stack: dict[str, Any], local_dir: Path) -> None:
    result = up(local_dir, "up")

    assert result.returncode == 0
    assert "running already" in result.stdout
    assert read_stack(local_dir)["supervisor_pid"] == stack["supervisor_pid"]


def test_whoever_stops_reading_is_no_failure(stack: dict[str, Any], local_dir: Path) -> None:
    for command in ("up", "status"):
        read_end, write_end = os.pipe()
        os.close(read_end)
        argv = [sys.executable, "-m", "suna_localstack.up", command]
        environment = {**os.environ, "SUNA_LOCAL_DIR": str(local_dir)}
        done = subprocess.run(argv, cwd=ROOT, env=environment, stdout=write_end, stderr=subprocess.PIPE, check=False)
        os.close(write_end)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "1"), ("DATABASE_URL", "postgresql://a:secret@127.0.0.1:1/a"), ("REDIS_URL", "redis://127.0.0.1:1")],
)
@pytest.mark.parametrize("command", ["up", "run"])
def test_a_second_start_says_which_settings_it_cannot_apply(
    stack: dict[str, Any], local_dir: Path, name: str, value: str, command: str
) -> None:
    result = up(local_dir, command, environment={name: value})

    assert result.returncode == 1
    expected = f"error: the stack is running with another {name}: `make down` first, or unset {name} to use it\n"
    assert result.stderr == expected


def test_a_second_up_with_the_same_settings_applies_nothing(stack: dict[str, Any], local_dir: Path) -> None:
    port = stack["base_url"].rsplit(":", 1)[1]
    same = {"PORT": port, "DATABASE_URL": stack["database_url"], "REDIS_URL": stack["redis_url"]}

    result = up(local_dir, "up", environment={**same, "MODEL": stack["model"], "OPENAI_API_KEY": "of no use here"})

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("The stack is running already\n")


class Provider(http.server.BaseHTTPRequestHandler):
    """A provider of models in one word, which notes the keys it is asked with."""

    keys: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.keys.append(self.headers["authorization"].removeprefix("Bearer "))
        chunk = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "other"}
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Word"}, "finish_reason": None}
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        lines = [*(json.dumps(chunk | {"choices": [one]}) for one in (choice, last)), "[DONE]"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write("".join(f"data: {line}\n\n" for line in lines).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def ask(folder: Path) -> None:
    command = [ROOT / ".local/venvs/dev/bin/python", "-m", "clients.terminal", "--once", "Hello"]
    environment = os.environ | {"SUNA_LOCAL_DIR": str(folder)}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert "Word" in answer.stdout, answer.stdout + answer.stderr


def test_a_second_up_applies_another_model_and_another_key(stack: dict[str, Any], local_dir: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/v1"
        first = {"MODEL": "openai/other", "OPENAI_API_KEY": "first", "OPENAI_API_BASE": address}
        changed = up(local_dir, "up", environment=first)
        ask(local_dir)
        renewed = up(local_dir, "up", environment={"OPENAI_API_KEY": "second"})
        ask(local_dir)
        server.shutdown()

    assert changed.stdout.startswith(
        "The stack is running already, its model is now openai/other, its provider's variables are updated\n"
    )
    assert renewed.stdout.startswith("The stack is running already, its provider's variables are updated\n")
    assert (Provider.keys[0], Provider.keys[-1]) == ("first", "second")
    assert stat.S_IMODE((local_dir / "state/parameters.json").stat().st_mode) == 0o600
    assert "second" not in (local_dir / "stack.json").read_text()


def test_a_second_up_applies_prices_and_says_what_it_does_not_apply(stack: dict[str, Any], local_dir: Path) -> None:
    prices = json.dumps({"openai/scripted": {"input": 2, "output": 0}})
    result = up(local_dir, "up", environment={"MODEL_PRICES": prices, "ALL_PROXY": "http://proxy.example"})

    assert result.stdout.startswith(
        "The stack is running already, its MODEL_PRICES is updated, with ALL_PROXY as it was started"
        " (`make down` first, to change that)\n"
    )
    functions = client("lambda", stack["aws_endpoint_url"])
    names = [name for key, name in stack["outputs"].items() if key.endswith("FunctionName")]
    settings = [functions.get_function_configuration(FunctionName=name) for name in names]
    told = [one.get("Environment", {}).get("Variables", {}) for one in settings]
    assert {one["MODEL_PRICES"] for one in told if "MODEL_PRICES" in one} == {prices}
    again = up(local_dir, "up", environment={"MODEL_PRICES": prices})
    assert again.stdout.startswith("The stack is running already\n")


def test_status_names_processes_and_addresses(stack: dict[str, Any], local_dir: Path) -> None:
    result = up(local_dir, "status")

    assert result.returncode == 0
    for entry in stack["processes"]:
        assert str(entry["pid"]) in result.stdout
    assert stack["base_url"] in result.stdout


def test_logs_show_every_source_with_its_name(stack: dict[str, Any], local_dir: Path) -> None:
    result = up(local_dir, "logs", "--no-follow")

    assert result.returncode == 0
    sources = {line.split("|")[0].strip() for line in result.stdout.splitlines()}
    assert {"postgres", "redis", "localstack", "model"} <= sources


@pytest.mark.parametrize("name", ["redis", "postgres", "model"])
async def test_a_server_that_dies_is_restarted_on_its_port(stack: dict[str, Any], local_dir: Path, name: str) -> None:
    before = part(read_stack(local_dir), name)
    os.kill(before["pid"], signal.SIGKILL)

    def restarted() -> bool:
        now = part(read_stack(local_dir), name) if name in (local_dir / "stack.json").read_text() else before
        return now["pid"] != before["pid"] and is_open(now["port"])

    await eventually(restarted)

    assert part(read_stack(local_dir), name)["port"] == before["port"]
    assert up(local_dir, "status").returncode == 0
    if name == "postgres":
        with psycopg.connect(stack["database_url"]) as connection:
            assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() != (0,)


def test_a_start_after_a_kill_cleans_up_and_keeps_tokens_valid(stack: dict[str, Any], local_dir: Path) -> None:
    killed = read_stack(local_dir)
    left = processes_of(killed)
    assert len(left) >= 5
    os.kill(killed["supervisor_pid"], signal.SIGKILL)

    assert up(local_dir, "up").returncode == 0
    fresh = read_stack(local_dir)

    assert not any(alive(pid) for pid in left)
    assert fresh["supervisor_pid"] != killed["supervisor_pid"]
    assert (fresh["jwt_secret"], fresh["account_id"]) == (killed["jwt_secret"], killed["account_id"])


def test_nothing_survives_a_killed_supervisor_and_down(stack: dict[str, Any], local_dir: Path) -> None:
    current = read_stack(local_dir)
    pids = processes_of(current)
    os.kill(current["supervisor_pid"], signal.SIGKILL)

    assert up(local_dir, "down").returncode == 0

    assert nothing_left(current, pids)
    assert not (local_dir / "stack.json").exists()
    assert up(local_dir, "status").returncode == 1


async def test_two_starts_at_once_give_one_stack_and_down_leaves_nothing(tmp_path: Path) -> None:
    first, second = await asyncio.gather(*(asyncio.to_thread(up, tmp_path, "up") for _ in range(2)))
    try:
        loser = first if first.returncode else second
        said = first.stdout + first.stderr + second.stdout + second.stderr
        assert sorted((first.returncode, second.returncode)) == [0, 1], said
        assert "wait for it" in loser.stderr
        current = read_stack(tmp_path)
        pids = processes_of(current)
    finally:
        down = up(tmp_path, "down")

    assert down.stdout == "the stack is stopped\n"
    assert nothing_left(current, pids)
    assert "nothing is running" in up(tmp_path, "down").stdout


async def test_the_end_of_localstack_ends_the_stack(tmp_path: Path) -> None:
    assert up(tmp_path, "up").returncode == 0
    current = read_stack(tmp_path)
    pids = processes_of(current)

    os.kill(part(current, "localstack")["pid"], signal.SIGKILL)
    await eventually(lambda: nothing_left(current, pids), timeout_s=30)

    assert "LocalStack stopped (signal 9)" in (tmp_path / "logs" / "supervisor.log").read_text()


async def test_run_ends_with_its_killed_parent(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'suna_localstack.up', 'run'])"
    environment = {**os.environ, "SUNA_LOCAL_DIR": str(tmp_path)}
    parent = subprocess.Popen(  # noqa: ASYNC220 - killed right here
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    await eventually((tmp_path / "stack.json").exists, timeout_s=60)
    current = read_stack(tmp_path)
    pids = processes_of(current)

    parent.kill()
    parent.wait()

    await eventually(lambda: nothing_left(current, pids), timeout_s=30)
