"""One event loop a process. In a process of its own: pytest's has a loop already."""

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
