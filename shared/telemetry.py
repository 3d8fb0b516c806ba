"""Structured logs: one logger a process, with the ids of the work at hand on every line.

The ids are Powertools' context-variable keys (``thread_safe_*``), so runs that share a process do not see each
other's; its plain ``append_keys`` would leak between them and into the next invocation.

An exception is logged with its trace, and with its own text only where that is ours or of what the service runs on:
that of any other may repeat what somebody said, a key, a whole document.
"""

import logging
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from aws_lambda_powertools import Logger

from shared.errors import SunaError
from shared.scrubbing import without_secrets

_SPEAKING = frozenset({"botocore", "redis"})


def trace_of(error: BaseException) -> str:
    """The trace of an exception and of what it was raised for, the newest first, without foreign words."""
    parts: list[str] = []
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        parts.append("".join(traceback.format_tb(one.__traceback__)) + _named(one))
        if isinstance(one, BaseExceptionGroup):
            left += cast("tuple[BaseException, ...]", one.exceptions)
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if before is not None:
            left.append(before)
    return "\n\nbecause of\n\n".join(parts)


def _named(error: BaseException) -> str:
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}"
    speaks = isinstance(error, SunaError) or kind.__module__.partition(".")[0] in _SPEAKING
    # PostgreSQL's text repeats values; its code does not.
    state = getattr(error, "sqlstate", None)
    return name + (f": {without_secrets(str(error))}" if speaks else "") + (f" [{state}]" if state else "")


class _WithoutWords(logging.Filter):
    """Puts the trace in the place of the exception, which the formatter would write down whole."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
            error = record.exc_info[1]
            record.exception = trace_of(error)
            record.exception_name = type(error).__name__
            record.exc_info = record.exc_text = None
        return True


logger = Logger()
logger.addFilter(_WithoutWords())


def quiet(*libraries: str) -> None:
    """Have libraries log nothing that repeats what others have told them; by the names of their loggers."""
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def ids() -> dict[str, str]:
    """The ids bound around the caller: ``request_id``, ``thread_id``, ``agent_run_id``, as far as they are known.

    Queue messages carry them, so that one request can be followed through the logs of every function it passed.
    """
    return dict(logger.thread_safe_get_current_keys())


@contextmanager
def bound(**more: str | None) -> Generator[None]:
    """Put ids on every log line written inside the block; ``None`` is left out."""
    before = ids()
    logger.thread_safe_append_keys(**{key: value for key, value in more.items() if value is not None})
    try:
        yield
    finally:
        logger.thread_safe_clear_keys()
        logger.thread_safe_append_keys(**before)
