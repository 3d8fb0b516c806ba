"""A function's log: what CloudWatch Logs gets for an invocation, and the file a developer follows."""

import os
from pathlib import Path


class FunctionLog:
    """Collects the output of one execution environment.

    CloudWatch Logs gets the lines of an invocation with its end. The file, ``<folder>/<function name>.log``, is shared
    by all environments of the function and gets whole lines at once, as they come.
    """

    def __init__(self, *, folder: Path | None, function_name: str) -> None:
        self._collected: list[bytes] = []
        self._unfinished = b""
        self._file = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = os.open(folder / f"{function_name}.log", flags, 0o644)

    def output(self, chunk: bytes) -> None:
        """Add what the worker has written to its standard output or error."""
        # The runtime client writes an error and its traceback with carriage returns, so that they stay one record.
        text = self._unfinished + chunk.replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1
        self._unfinished = text[end:]
        self._write(text[:end])

    def platform(self, line: str, *, in_file: str = "") -> None:
        """Add a line of the platform's own; ``in_file`` is appended to it in the file only."""
        self.finish_line()
        self._collected.append(f"{line}\n".encode())
        self._append_to_file(f"{line}{in_file}\n".encode())

    def finish_line(self) -> None:
        """End a line that the worker has left open."""
        if self._unfinished:
            self._write(self._unfinished + b"\n")
            self._unfinished = b""

    def take(self) -> str:
        """Everything since the last call."""
        self.finish_line()
        taken = b"".join(self._collected).decode(errors="replace")
        self._collected.clear()
        return taken

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, lines: bytes) -> None:
        if lines:
            self._collected.append(lines)
            self._append_to_file(lines)

    def _append_to_file(self, lines: bytes) -> None:
        if self._file is not None:
            os.write(self._file, lines)
