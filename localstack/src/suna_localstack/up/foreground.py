"""``run``: the main job in the foreground. Boots, streams one answer, serves until Ctrl-C."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any, Never

from suna_localstack.up.console import say
from suna_localstack.up.control import bring_up_to_date, running_stack
from suna_localstack.up.errors import StackError
from suna_localstack.up.folders import Folders
from suna_localstack.up.launch import Launched, launch
from suna_localstack.up.surroundings import child_environment

_PR_SET_PDEATHSIG = 1
DEFAULT_MESSAGE = "What happens between my question and your first word?"


class _Terminated(Exception):
    """SIGTERM, or the death of the parent process."""


def _end_with_parent() -> None:
    """Let the kernel tell us when ``make`` dies, so that the stack does not outlive the command."""

    def raise_terminated(*_: object) -> Never:
        raise _Terminated

    signal.signal(signal.SIGTERM, raise_terminated)
    signal.signal(signal.SIGHUP, raise_terminated)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def print_addresses(stack: dict[str, Any]) -> None:
    """Where the stack is, and the token to use it with."""
    lines = (
        ("chat page", stack["page_url"]),
        ("HTTP", stack["http_url"]),
        ("WebSocket", f"{stack['websocket_url']}/threads/<thread id>/stream/events"),
        ("AWS endpoint", stack["aws_endpoint_url"]),
        ("model", f"{stack['model']}"),
        ("token", stack["token"]),
    )
    for name, value in lines:
        say(f"  {name:<13} {value}")


def ask(folders: Folders, message: str) -> int:
    """Send ``message`` through the terminal client; returns its exit code."""
    client = [str(folders.dev_python), "-m", "clients.terminal", "--once", message]
    environment = {**child_environment(), "SUNA_LOCAL_DIR": str(folders.private)}
    for name in ("NO_COLOR", "COLUMNS", "COLORTERM"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return subprocess.run(client, cwd=folders.root, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def _serve(launched: Launched | None, folders: Folders) -> None:
    say("\nServing. Ctrl-C ends it" + (" all." if launched else "; the stack keeps running."))
    while True:
        time.sleep(0.5)
        if launched and launched.process.poll() is not None:
            raise StackError(f"the stack has ended by itself; see {folders.log('supervisor')}")


def run(folders: Folders, message: str) -> int:
    """Boot (or use the running stack), answer ``message``, serve while a terminal is attached.

    Raises:
        StackError: the stack cannot start, or has ended.
    """
    _end_with_parent()
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    launched: Launched | None = None
    try:
        stack = running_stack(folders)
        if stack is None:
            say("Starting the local stack")
            launched = launch(folders, attached=True)
            stack = launched.stack
            say(f"Ready after {launched.seconds:.1f} s\n")
        else:
            say(", ".join(["Using the running stack", *bring_up_to_date(folders, stack)]) + "\n")
        code = ask(folders, message)
        say()
        print_addresses(stack)
        if code == 0 and interactive:
            with contextlib.suppress(KeyboardInterrupt):
                _serve(launched, folders)
        return code
    except (KeyboardInterrupt, _Terminated):
        return 130
    finally:
        if launched:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            launched.stop()
