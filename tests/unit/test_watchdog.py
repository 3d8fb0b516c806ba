"""The loop that stands is noticed, and told from one that is slow, done, or asleep with its process."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared import watchdog
from shared.watchdog import Watchdog

LIMIT_S = 0.2


class Told:
    """What was logged, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.any = threading.Event()

    def error(self, message: str, *, extra: dict[str, Any]) -> None:
        self.lines.append((message, extra))
        self.any.set()

    def warning(self, message: str, *, extra: dict[str, Any]) -> None:
        assert message == "the event loop turns again"
        assert extra["stood_s"] >= 0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    found = Told()
    monkeypatch.setattr(watchdog, "logger", found)
    return found


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    found = asyncio.new_event_loop()
    yield found
    found.close()


def a_call_that_stands(told: Told, password: str) -> None:
    """Until it is told of."""
    del password
    assert told.any.wait(30)


def test_what_stands_is_named_without_its_values_and_counted(loop: asyncio.AbstractEventLoop, told: Told) -> None:
    dog = Watchdog(loop, limit_s=LIMIT_S)

    async def invocation() -> None:
        a_call_that_stands(told, password="hunter2")

    for times in (1, 2):
        told.lines.clear()
        told.any.clear()
        with dog.watching():
            loop.run_until_complete(invocation())
        message, extra = told.lines[0]
        assert (message, extra["stood"], dog.stood) == ("the event loop stands", times, times)
        names = [frame.rpartition(" ")[2] for frame in extra["stack"]]
        # In the order of the calls.
        assert names.index("invocation") < names.index("a_call_that_stands") < names.index("wait")
        assert any(frame.startswith("tests/unit/test_watchdog.py:") for frame in extra["stack"])
        assert "hunter2" not in str(told.lines)


def test_a_loop_that_turns_does_not_stand(
    loop: asyncio.AbstractEventLoop, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    call_soon = loop.call_soon_threadsafe

    def noted(turned: Callable[[], None]) -> None:
        call_soon(turned)
        call_soon(asked.set)

    monkeypatch.setattr(loop, "call_soon_threadsafe", noted)
    # Longer than any machine is busy with something else.
    with Watchdog(loop, limit_s=60).watching():
        loop.run_until_complete(asked.wait())
    assert told.lines == []


def test_a_loop_that_nobody_runs_does_not_stand(loop: asyncio.AbstractEventLoop) -> None:
    dog = Watchdog(loop, limit_s=LIMIT_S)
    with dog.watching():
        pass
    assert not dog._waits_in_vain(threading.Event())


def test_a_process_that_did_not_run_is_no_loop_that_stands(loop: asyncio.AbstractEventLoop, told: Told) -> None:
    now = 0.0

    def clock() -> float:
        # Each look takes a hundred times as long as it should: the process is put to sleep in it.
        nonlocal now
        now += LIMIT_S * 100
        return now

    dog = Watchdog(loop, limit_s=LIMIT_S, clock=clock)

    async def invocation() -> None:
        assert not told.any.wait(LIMIT_S * 4)

    with dog.watching():
        loop.run_until_complete(invocation())
    assert told.lines == []


PROGRAM = """
import time
from shared.process import run_watched, watchdog
watchdog()._limit_s = 0.2

async def invocation():
    while not watchdog().stood:
        time.sleep(0.01)

run_watched(invocation())
raise SystemExit(41 + watchdog().stood)
"""


def test_an_invocation_is_watched() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 42, ended.stderr
    assert "the event loop stands" in ended.stdout + ended.stderr
