"""A terminal with the chat in it, and somebody who types and reads."""

import asyncio
import os
import pty
import re
import signal
import sys
import termios
from pathlib import Path
from typing import Self

from tests.e2e.following import PATIENCE_S

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """``python -m clients.terminal`` behind a pseudo-terminal of 100 columns. Use as an async context manager."""

    def __init__(self, root: Path, local_dir: Path, *arguments: str) -> None:
        self._root, self._local_dir, self._arguments = root, local_dir, arguments
        self._seen = ""
        self._read_up_to = 0

    async def __aenter__(self) -> Self:
        """Start the chat."""
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 100))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "clients.terminal",
            *self._arguments,
            cwd=self._root,
            env=os.environ
            | {"SUNA_LOCAL_DIR": str(self._local_dir), "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            # A controlling terminal of its own: Ctrl-C has to reach it, and nobody else.
            preexec_fn=lambda: os.login_tty(0),
        )
        os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, if it has not ended by itself."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def type(self, text: str) -> None:
        """Press these keys, and return."""
        os.write(self._master, text.encode() + b"\r")

    def press(self, key: str) -> None:
        """Press one key."""
        os.write(self._master, key.encode())

    async def shows(self, text: str) -> str:
        """Wait until ``text`` appears behind what was read before; all that came up to it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (at := self._seen.find(text, self._read_up_to)) < 0:
                    if self._process.returncode is not None:
                        raise AssertionError(f"it ended before it showed {text!r}:\n{self._seen}")
                    await asyncio.sleep(0.02)  # between two looks at an observable state
        except TimeoutError:
            raise AssertionError(f"it never showed {text!r}:\n{self._seen}") from None
        came = self._seen[self._read_up_to : at]
        self._read_up_to = at + len(text)
        return came

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)

    def _take(self) -> None:
        try:
            came = os.read(self._master, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._master)
            return
        self._seen += _CONTROLS.sub("", came.decode(errors="replace"))
