"""A cable to a server that can be cut: then nobody answers, as when the server is down."""

import socket
import socketserver
import threading
from contextlib import suppress

from tests.ports import free_port

_CHUNK_BYTES = 65536


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Cable:
    """Forwards a port of 127.0.0.1 to ``target_port`` while it is plugged."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
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
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()
            self._open -= {near, far}


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
