"""``breakpoint()`` in a function: pdb on a socket of this machine. It runs in the worker, without any package."""

import os
import pdb
import socket
import sys
from pathlib import Path

MARK = "at-breakpoint"
"""A file in the worker's TMPDIR: while it is there, the invocation does not time out."""


class _Pdb(pdb.Pdb):
    """Lets the client go when it continues or quits."""

    def __init__(self, connection: socket.socket, mark: Path) -> None:
        self._connection = connection
        self._mark = mark
        stream = connection.makefile("rw", encoding="utf-8")
        super().__init__(stdin=stream, stdout=stream, nosigint=True, readrc=False)

    def set_continue(self) -> None:
        super().set_continue()
        if not self.breaks:
            self._let_go()

    def set_quit(self) -> None:
        super().set_quit()
        self._let_go()

    def _let_go(self) -> None:
        self._mark.unlink(missing_ok=True)
        self._connection.close()


def wait() -> None:
    """Wait for somebody to connect, and stop for them at the caller's next line."""
    mark = Path(os.environ["TMPDIR"], MARK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        mark.touch()
        sys.stderr.write(f"breakpoint: nc 127.0.0.1 {server.getsockname()[1]}\n")
        sys.stderr.flush()
        connection, _ = server.accept()
    _Pdb(connection, mark).set_trace(sys._getframe(1))  # pyright: ignore[reportPrivateUsage] - the documented way
