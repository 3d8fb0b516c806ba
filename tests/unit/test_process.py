"""One event loop a process. In a process of its own: pytest's has a loop already."""

import json
import os
import signal
import subprocess
import sys

import pytest


def _python(program: str) -> str:
    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


SEVERAL_CALLS = """
import asyncio
from shared.process import event_loop, run

async def invocation(number):
    await asyncio.sleep(0)
    return asyncio.get_running_loop(), number

loops, numbers = zip(*(run(invocation(number)) for number in range(3)), strict=True)
assert set(loops) == {event_loop()} and asyncio.get_event_loop() is event_loop()
print(*numbers)
event_loop().close()
"""

AN_ERROR = """
from shared.process import event_loop, run

async def failing():
    raise KeyError("why")

async def working():
    return "and goes on"

try:
    run(failing())
except KeyError as error:
    print(error.args[0], run(working()))
event_loop().close()
"""

# What a connection's transport learns while the process is frozen becomes known when the loop turns.
A_THAW = """
import socket
from shared.process import event_loop, run

near, far = socket.socketpair()
near.setblocking(False)
noticed = []

def readable():
    noticed.append(near.recv(1))
    event_loop().remove_reader(near)

event_loop().add_reader(near, readable)
far.close()

async def first_thing():
    return list(noticed)

print(run(first_thing()))
near.close()
event_loop().close()
"""


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        pytest.param(SEVERAL_CALLS, "0 1 2", id="every call runs on the same loop"),
        pytest.param(AN_ERROR, "why and goes on", id="an error rises and leaves the loop usable"),
        pytest.param(A_THAW, "[b'']", id="a dead connection is noticed before the work begins"),
    ],
)
def test_run(program: str, printed: str) -> None:
    assert _python(program) == printed


ENDING = """
import os, signal, sys, threading
from shared.process import at_end, run

async def closes():
    print("closed", flush=True)

async def fails():
    raise OSError("gone")

async def hangs():
    await __import__("asyncio").Future()

async def invocation():
    os.kill(os.getpid(), signal.SIGTERM)
    await __import__("asyncio").sleep(60)

for close in (closes, fails, hangs):
    at_end(close)
if sys.argv[1] == "busy":
    run(invocation())
print("idle", flush=True)
# As AWS's runtime does: the invocation is waited for on a thread that nothing can interrupt.
waiting = threading.Thread(target=sys.stdin.buffer.raw.read)
waiting.start()
os.kill(os.getpid(), signal.SIGTERM)
waiting.join()
"""


@pytest.mark.parametrize(
    ("state", "initialization", "code", "printed"),
    [
        ("idle", "on-demand", 0, ["idle", "closed"]),
        ("busy", "on-demand", -signal.SIGTERM, []),
        ("idle", "", -signal.SIGTERM, ["idle"]),
    ],
    ids=["idle", "busy", "outside of Lambda"],
)
def test_at_the_end_an_idle_process_closes_what_it_can_and_a_busy_one_just_ends(
    state: str, initialization: str, code: int, printed: list[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDING, state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AWS_LAMBDA_INITIALIZATION_TYPE": initialization},
    ) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    assert process.returncode == code
    assert [line for line in lines if not line.startswith("{")] == printed
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    if code == 0:
        assert [line["message"] for line in logged] == [
            "not everything could be closed at the end",
            "closed at the end",
        ]
        assert (logged[-1]["closed"], logged[-1]["late"]) == (2, 1)
