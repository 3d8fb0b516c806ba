"""Commands that run to their end during the start: uv, the CDK."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from suna_localstack.services.process import Child, Command
from suna_localstack.up.errors import StackError


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def last_line(log: Path, start: int) -> str:
    """The last line with text that was written to ``log`` after byte ``start``."""
    with log.open("rb") as file:
        file.seek(start if start <= _size(log) else 0)  # it may have been rotated meanwhile
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


async def run_task(name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> None:
    """Run ``argv`` to its end; it dies with us.

    Raises:
        StackError: it failed; the message has its last line and names its log.
    """
    start = _size(log)
    try:
        child = await Child.start(Command(name=name, argv=argv, log=log, env=env, cwd=cwd))
    except OSError as error:
        raise StackError(f"{name}: cannot start {argv[0]} ({error.strerror})") from error
    try:
        code = await child.process.wait()
    except BaseException:
        await child.stop()
        raise
    if code != 0:
        raise StackError(f"{name} failed (exit code {code}): {last_line(log, start)}; see {log}")
