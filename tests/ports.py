"""Free TCP ports on 127.0.0.1, for servers that tests start."""

import contextlib
import random
import socket

# Below what systems give to connections (Linux: from 32768, macOS: from 49152): a server that starts later must not
# find its port taken by somebody's connection.
_PORTS = range(10_000, 32_000)

# What is chosen and not listened on yet looks free.
_chosen: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and a new one each time."""
    while True:
        port = random.choice(_PORTS)  # noqa: S311
        if port in _chosen:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _chosen.add(port)
            return port
