"""Free TCP ports on 127.0.0.1."""

import errno
import random
import socket

HOST = "127.0.0.1"

# Below what systems give to connections (Linux: from 32768, macOS: from 49152): a server that comes back to its port
# must not find it taken by somebody's connection.
_PORTS = range(10_000, 32_000)

# A port is chosen before its server listens: meanwhile it looks free, and is not to be chosen for another server.
_chosen: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def is_open(port: int) -> bool:
    """Whether something accepts connections on ``port``."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    """A port that nobody listens on, and a new one each time; another process may take it before its user does."""
    return free_port_with_offset(0)


def free_port_with_offset(offset: int) -> int:
    """A port ``p`` such that both ``p`` and ``p + offset`` are free and valid."""
    for _ in range(200):
        port = random.choice(_PORTS[: len(_PORTS) - offset])  # noqa: S311
        both = {port, port + offset}
        if not both & _chosen and all(is_free(one) for one in both):
            _chosen.update(both)
            return port
    raise OSError(errno.EADDRINUSE, f"no pair of free ports {offset} apart")
