"""The ids on log lines."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import asyncpg
import pytest

from shared import telemetry
from shared.errors import DatabaseUnavailableError
from shared.telemetry import bound, ids, logger


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the logger writes."""
    stream = io.StringIO()
    [handler] = [found for found in logger._logger.handlers if isinstance(found, logging.StreamHandler)]
    before = handler.setStream(stream)
    level = logger.log_level
    logger.setLevel("INFO")
    yield stream
    handler.setStream(before)
    logger.setLevel(level)


def _fields(lines: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_bound_ids_are_on_every_line_inside_the_block_and_none_after_it(lines: io.StringIO) -> None:
    with bound(request_id="request", thread_id=None):
        telemetry.logger.info("inside", extra={"status": 200})
    telemetry.logger.info("outside")
    inside, outside = _fields(lines)
    assert (inside["request_id"], inside["status"]) == ("request", 200)
    assert "thread_id" not in inside
    assert "request_id" not in outside


def test_blocks_nest_and_the_inner_one_leaves_the_outer_as_it_was() -> None:
    with bound(request_id="outer", thread_id="thread"):
        with bound(request_id="inner", agent_run_id="run"):
            assert ids() == {"request_id": "inner", "thread_id": "thread", "agent_run_id": "run"}
        assert ids() == {"request_id": "outer", "thread_id": "thread"}
    assert ids() == {}


def test_an_error_unbinds_too() -> None:
    with pytest.raises(KeyError), bound(request_id="request"):
        raise KeyError
    assert ids() == {}


async def test_ids_do_not_leak_between_concurrent_tasks() -> None:
    meeting = asyncio.Barrier(10)

    async def work(number: int) -> None:
        with bound(agent_run_id=f"run-{number}"):
            await meeting.wait()  # all ten are bound now
            assert ids() == {"agent_run_id": f"run-{number}"}
            async with asyncio.TaskGroup() as group:
                group.create_task(inherit(number))
            await meeting.wait()
        assert ids() == {}

    async def inherit(number: int) -> None:
        assert ids() == {"agent_run_id": f"run-{number}"}
        with bound(thread_id="child"):
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(work(number))
    assert ids() == {}


def _raise_over(cause: Exception, error: Exception) -> None:
    try:
        try:
            raise cause
        except Exception:
            raise error from cause
    except Exception:
        logger.exception("it failed")


def test_an_exception_has_its_trace_and_no_foreign_words(lines: io.StringIO) -> None:
    _raise_over(ValueError("what Ada said"), DatabaseUnavailableError("the database is away"))
    [line] = _fields(lines)
    assert line["exception_name"] == "DatabaseUnavailableError"
    told = str(line["exception"])
    assert "the database is away" in told
    assert "builtins.ValueError" in told
    assert "_raise_over" in told
    assert "what Ada said" not in lines.getvalue()


def test_so_do_those_of_a_group_and_notes(lines: io.StringIO) -> None:
    error = ValueError("what Ada said")
    error.add_note("what Bob said")
    _raise_over(error, ExceptionGroup("what all said", [TypeError("what Eve said"), error]))
    told = lines.getvalue()
    assert "TypeError" in told
    assert " said" not in told.replace("it failed", "")


def test_what_postgresql_says_is_its_code(lines: io.StringIO) -> None:
    _raise_over(KeyError("what Ada said"), asyncpg.UniqueViolationError("Key (name)=(what Ada said) already exists"))
    told = lines.getvalue()
    assert "UniqueViolationError [23505]" in told
    assert "Ada" not in told
