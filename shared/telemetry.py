"""Structured logs: one logger a process, with the ids of the work at hand on every line.

The ids are Powertools' context-variable keys (``thread_safe_*``), so runs that share a process do not see each
other's; its plain ``append_keys`` would leak between them and into the next invocation.
"""

from collections.abc import Generator
from contextlib import contextmanager

from aws_lambda_powertools import Logger

logger = Logger()


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
