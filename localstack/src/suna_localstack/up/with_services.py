"""Run a command with servers of its own: PostgreSQL, Redis (a one-node cluster, and an ordinary one besides) and the
scripted model.

They run on free ports in a temporary folder; ``DATABASE_URL``, ``REDIS_URL``, ``PLAIN_REDIS_URL`` and ``MODEL_URL``
tell the command where.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from pathlib import Path

from suna_localstack.services.ports import free_port
from suna_localstack.services.process import Child
from suna_localstack.up.boot import Boot
from suna_localstack.up.folders import Folders
from suna_localstack.up.processes import MARK
from suna_localstack.up.progress import Progress
from suna_localstack.up.stack import Part
from suna_localstack.up.surroundings import Wishes, child_environment


async def _run(command: list[str], folders: Folders) -> int:
    children: list[Child] = []

    def started(part: Part) -> None:
        children.append(part.child)

    env = {**child_environment(), MARK: uuid.uuid4().hex}
    # Never the user's: whoever asks for servers of its own empties them.
    boot = Boot(folders, env[MARK], Wishes(free_port(), None, None), env, Progress(None), started)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            database_url = group.create_task(boot.postgres())
            redis_url = group.create_task(boot.redis())
            plain_redis_url = group.create_task(boot.plain_redis())
            model_port = group.create_task(boot.restart_model(None))
        given = {
            "DATABASE_URL": database_url.result(),
            "REDIS_URL": redis_url.result(),
            "PLAIN_REDIS_URL": plain_redis_url.result(),
            "MODEL_URL": f"http://127.0.0.1:{model_port.result()}",
        }
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **given})
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        return await ended
    finally:
        for child in children:
            await child.stop()


def run_with_services(command: list[str], root: Path) -> int:
    """Start the servers, run ``command`` to its end, stop them; returns the command's exit code.

    If a server does not start, its folder stays, as the error names a log in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="suna-services-"))
    code = asyncio.run(_run(command, Folders(root, folder)))
    shutil.rmtree(folder, ignore_errors=True)
    return code
