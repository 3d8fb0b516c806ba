"""The control outside the stack: where functions stand, the ledger of what tools did, and a poor line to AWS.

Three servers on 127.0.0.1, in threads of this process, which is none of the stack's: nothing that is done to the stack
touches what they have noted.
"""

import http.client
import json
import socketserver
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_PATIENCE_S = 120.0


@dataclass
class Stop:
    """A thread's run is to wait at a point. ``report``: what the process that waits says about itself."""

    reached: threading.Event = field(default_factory=threading.Event)
    report: dict[str, Any] = field(default_factory=dict[str, Any])
    released: threading.Event = field(default_factory=threading.Event)
    answer: str = "go"

    def release(self, answer: str = "go") -> None:
        """Let it go on; ``answer``: "go", or whose reply is to be lost: its next append's ("lose_reply"), or COMMIT's
        ("lose_commit").
        """
        self.answer = answer
        self.released.set()


@dataclass
class Refusal:
    """AWS refuses an operation whose body contains a text, for as long as this stands."""

    operation: str
    containing: str
    code: str
    refused: int = 0


class Control:
    """What the cases and the stack share."""

    def __init__(self, *, aws_url: str) -> None:
        self._lock = threading.Lock()
        self._stops: dict[tuple[str, str, str], Stop] = {}
        self._effects: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._passed: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._lost: dict[str, list[Any]] = {}
        self.refusals: list[Refusal] = []
        self._aws = urlsplit(aws_url)
        self._points = _Threads(("127.0.0.1", 0), _points(self))
        self._proxy = _Proxy(("127.0.0.1", 0), _proxy(self))
        for server in (self._points, self._proxy):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where functions say what point they are at: ``host:port``."""
        return f"127.0.0.1:{self._points.server_address[1]}"

    @property
    def aws_url(self) -> str:
        """AWS, unless it refuses."""
        return f"http://127.0.0.1:{self._proxy.server_address[1]}"

    def close(self) -> None:
        """End the servers; whoever waits goes on."""
        for stop in list(self._stops.values()):
            stop.release()
        for server in (self._points, self._proxy):
            server.shutdown()
            server.server_close()

    def stop_at(self, thread_id: str, point: str, *, service: str) -> Stop:
        """Have the thread's run wait at ``point``, the first time the function ``service`` comes there."""
        stop = Stop()
        with self._lock:
            self._stops[thread_id, point, service] = stop
        return stop

    def effects(self, thread_id: str, key: str) -> list[str]:
        """The calls (ids) that had the effect ``key``, in order, a repeated one as often as it was repeated."""
        with self._lock:
            return list(self._effects[thread_id, key])

    def passed(self, thread_id: str) -> list[dict[str, Any]]:
        """The points that the thread's runs have come by: ``{"point", "pid", "service", "time"}`` in order."""
        with self._lock:
            return list(self._passed[thread_id])

    def lost_reply(self, thread_id: str) -> list[Any] | None:
        """What the lost reply said that a run of the thread did not get."""
        with self._lock:
            return self._lost.get(thread_id)

    def refuse(self, operation: str, *, containing: str, code: str) -> Refusal:
        """Have AWS refuse ``operation`` with the error ``code``; take it from ``refusals`` to end that."""
        refusal = Refusal(operation, containing, code)
        self.refusals.append(refusal)
        return refusal

    def _heard(self, said: dict[str, Any]) -> str:
        thread_id = said["thread"]
        with self._lock:
            if "effect" in said:
                self._effects[thread_id, said["effect"]].append(said["call"])
                return "go"
            if "lost" in said:
                self._lost[thread_id] = said["lost"]
                return "go"
            self._passed[thread_id].append(said | {"heard_at": time.time()})
            stop = self._stops.get((thread_id, said["point"], said["service"]))
            if stop is None or stop.reached.is_set():
                return "go"
            stop.report = said
            stop.reached.set()
        stop.released.wait(_PATIENCE_S)
        return stop.answer

    def _refused(self, operation: str, body: str) -> str | None:
        for refusal in self.refusals:
            if refusal.operation == operation and refusal.containing in body:
                refusal.refused += 1
                return refusal.code
        return None

    def _forwarded(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(str(self._aws.hostname), self._aws.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True


def _points(control: Control) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                said = json.loads(self.rfile.readline())
                answer = control._heard(said)
                self.wfile.write(json.dumps({"do": answer}).encode() + b"\n")
            except (OSError, ValueError):
                return  # it died while it waited

    return Handler


def _proxy(control: Control) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            operation = self.headers.get("x-amz-target", "").rpartition(".")[2]
            code = control._refused(operation, body.decode(errors="replace"))
            if code is not None:
                answer = json.dumps({"__type": code, "message": "Rate exceeded"}).encode()
                self._answer(400, [("content-type", "application/x-amz-json-1.0")], answer)
                return
            self._answer(*control._forwarded("POST", self.path, self.headers.items(), body))

        def handle(self) -> None:
            with suppress(ConnectionError):  # who asked, and might have asked for more, was killed
                super().handle()

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the cases do."""

    return Handler
