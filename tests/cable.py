"""A cable to a server, which can be cut: nobody answers, or nothing comes through, or the reply to a COMMIT is lost."""

import socket
import socketserver
import threading
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.ports import free_port

_CHUNK_BYTES = 65536
_COMMIT = b"COMMIT;"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@dataclass(frozen=True)
class _Connection:
    """One connection through the cable: its two ends, whether it flows, and whether its next reply is lost."""

    near: socket.socket
    far: socket.socket
    flows: threading.Event = field(default_factory=threading.Event)
    loses: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        for end in (self.near, self.far):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.flows.set()


class Cable:
    """Forwards a port of 127.0.0.1 to ``target_port`` while it is plugged.

    ``commits_lost``: of so many COMMITs that come next the reply is lost, and the connection with it.
    ``held_back``: how often something of a process that is cut off came, and went no further.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.commits_lost = 0
        self.held_back = 0
        self._target_port = target_port
        self._server: _Server | None = None
        # By the port at which the client's end is: that tells whose it is.
        self._open: dict[int, _Connection] = {}
        self._cut_off: set[int] = set()
        # Who is cut off and what flows change together.
        self._changing = threading.Lock()

    def plug(self) -> None:
        """Let connections through."""
        cable = self

        class Forward(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                # Whose end is gone already, or whose server is.
                with suppress(OSError):
                    cable._forward(self.request)

        self._server = _Server(("127.0.0.1", self.port), Forward)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def cut(self) -> None:
        """End every connection and take no new one."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for each in list(self._open.values()):
            each.end()

    def cut_off(self, pid: int) -> None:
        """Nothing of the process comes through any more, in either direction, and nobody is told."""
        with self._changing:
            self._cut_off.add(pid)
            for each in self._of(pid):
                each.flows.clear()

    def heal(self, pid: int) -> None:
        """All that was held back of the process comes through, late."""
        with self._changing:
            self._cut_off.discard(pid)
            for each in self._of(pid):
                each.flows.set()

    def _of(self, pid: int) -> list[_Connection]:
        ports = _ports_of(pid)
        return [each for port, each in list(self._open.items()) if port in ports]

    def _forward(self, near: socket.socket) -> None:
        port: int = near.getpeername()[1]
        with socket.create_connection(("127.0.0.1", self._target_port)) as far:
            with self._changing:
                opened = self._open[port] = _Connection(near, far)
                if not any(port in _ports_of(pid) for pid in self._cut_off):
                    opened.flows.set()
            back = threading.Thread(target=self._pass, args=(opened, far, near), daemon=True)
            back.start()
            self._pass(opened, near, far)
            back.join()
            del self._open[port]

    def _pass(self, opened: _Connection, source: socket.socket, target: socket.socket) -> None:
        """Until either end is closed."""
        with suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                if not opened.flows.is_set():
                    self.held_back += 1
                    opened.flows.wait()
                if source is opened.near and self.commits_lost and _COMMIT in chunk:
                    self.commits_lost -= 1
                    opened.loses.set()
                if source is opened.far and opened.loses.is_set():
                    break
                target.sendall(chunk)
        opened.end()


def _ports_of(pid: int) -> set[int]:
    try:
        return {found.laddr.port for found in psutil.Process(pid).net_connections("tcp") if found.laddr}
    except psutil.Error:
        return set()
