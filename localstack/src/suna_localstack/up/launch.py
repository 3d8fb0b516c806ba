"""Starts a supervisor of its own and waits until the stack is ready."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from suna_localstack.services.process import open_log
from suna_localstack.up.errors import StackError
from suna_localstack.up.files import read_json
from suna_localstack.up.folders import Folders
from suna_localstack.up.progress import show
from suna_localstack.up.surroundings import check_folder

_STOP_TIMEOUT_S = 60


@dataclass
class Launched:
    """A stack that this process has started."""

    process: subprocess.Popen[bytes]
    stack: dict[str, Any]
    seconds: float

    def stop(self) -> None:
        """End the stack and wait until nothing of it is left."""
        stop(self.process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a supervisor to end its stack, and wait for it."""
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def launch(folders: Folders, *, attached: bool) -> Launched:
    """Start the supervisor and show its phases.

    Args:
        attached: the stack ends with this process, however that ends: its end closes a pipe that the supervisor reads.

    Raises:
        StackError: it did not become ready; nothing is left running.
    """
    check_folder(folders)
    log_file = folders.log("supervisor")
    log = open_log(log_file)
    read_end, write_end = os.pipe()
    argv = [sys.executable, "-m", "suna_localstack.up", "supervise", "--progress-fd", str(write_end)]
    process = subprocess.Popen(
        [*argv, "--until-eof"] if attached else argv,
        stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(write_end,),
        start_new_session=True,
    )
    os.close(log)
    os.close(write_end)
    try:
        with os.fdopen(read_end) as reader:
            seconds, failure = show(reader)
    except BaseException:
        stop(process)
        raise
    if seconds is None:
        process.wait()
        raise StackError(failure or f"the supervisor ended without a word; see {log_file}")
    stack = read_json(folders.stack_file)
    if stack is None:
        stop(process)
        raise StackError(f"the supervisor wrote no {folders.stack_file}; see {log_file}")
    return Launched(process, stack, seconds)
