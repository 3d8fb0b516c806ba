"""``breakpoint()`` in a function's code: a debugger on a socket, and no timeout while somebody is in it."""

import asyncio
import json
import time
from pathlib import Path

from suna_localstack.compute import runtime
from suna_localstack.compute.in_worker.suna_breakpoint import MARK
from suna_localstack.compute.outcome import Invocation, Outcome
from suna_localstack.compute.worker import Worker, WorkerSpec

HANDLER = """
def handler(event, context):
    answer = event["answer"]
    breakpoint()
    return answer
"""
TIMEOUT_S = 0.5


async def _debugged(folder: Path) -> Outcome:
    (folder / "paused.py").write_text(HANDLER, encoding="utf-8")
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    said = bytearray()

    def output(chunk: bytes) -> None:
        said.extend(chunk)
        for line in said.decode().splitlines(keepends=True):
            if line.startswith("breakpoint: nc 127.0.0.1 ") and line.endswith("\n") and not told.done():
                told.set_result(int(line.split()[-1]))

    worker = Worker(
        WorkerSpec(
            command=runtime.command("paused.handler"),
            environment=runtime.environment({}, code_root=folder, scratch_dir=folder),
            folder=folder,
            output=output,
        )
    )
    await worker.start()
    try:
        assert await worker.initialise() is None
        invocation = Invocation(
            request_id="r-1", function_arn="arn", payload=b'{"answer": 1}', trace_id="", client_context=None
        )
        deadline_ms = int((time.time() + TIMEOUT_S) * 1000)
        result = asyncio.create_task(worker.invoke(invocation, timeout_s=TIMEOUT_S, deadline_ms=deadline_ms))
        reader, writer = await asyncio.open_connection("127.0.0.1", await told)
        await reader.readuntil(b"(Pdb) ")
        # That nothing ends it can only be seen by letting its time pass.
        done, _ = await asyncio.wait({result}, timeout=3 * TIMEOUT_S)
        assert not done
        writer.write(b"answer = 42\ncontinue\n")
        outcome = await result
        writer.close()
        return outcome
    finally:
        await worker.kill()


def test_a_breakpoint_is_spoken_to_and_outlasts_the_timeout(tmp_path: Path) -> None:
    outcome = asyncio.run(asyncio.wait_for(_debugged(tmp_path), 60))

    assert not outcome.is_error
    assert json.loads(outcome.payload) == 42
    assert not (tmp_path / MARK).exists()
