"""A cable to a server that can be cut: then nobody answers, as when the server is down, or when it has committed."""

import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress

from tests.ports import free_port

_CHUNK_BYTES = 65536
_COMMIT = b"COMMIT;"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Cable:
    """Forwards a port of 127.0.0.1 to ``target_port`` while it is plugged.

    ``commits_lost``: of so many COMMITs that come next the reply is lost, and the connection with it.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.commits_lost = 0
        self._target_port = target_port
        self._server: _Server | None = None
        self._open: set[socket.socket] = set()

    def plug(self) -> None:
        """Let connections through."""
        cable = self

        class Forward(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                cable._forward(self.request)

        self._server = _Server(("127.0.0.1", self.port), Forward)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def cut(self) -> None:
        """End every connection and take no new one."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _forward(self, near: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._target_port)) as far:
            self._open |= {near, far}
            losing = threading.Event()
            back = threading.Thread(target=_pump, args=(far, near), kwargs={"losing": losing}, daemon=True)
            back.start()
            _pump(near, far, on_chunk=lambda chunk: self._lose(chunk, losing))
            back.join()
            self._open -= {near, far}

    def _lose(self, chunk: bytes, losing: threading.Event) -> None:
        if self.commits_lost and _COMMIT in chunk:
            self.commits_lost -= 1
            losing.set()


def _pump(
    source: socket.socket,
    target: socket.socket,
    *,
    on_chunk: Callable[[bytes], None] = lambda _chunk: None,
    losing: threading.Event | None = None,
) -> None:
    """Until either end is closed. ``losing``: the next that comes is the last, and goes nowhere."""
    with suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            on_chunk(chunk)
            if losing is not None and losing.is_set():
                break
            target.sendall(chunk)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
