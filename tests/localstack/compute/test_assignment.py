"""Which environment an invocation gets, and how many start at once."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suna_localstack.compute.assignment import STARTS_AT_ONCE
from tests.localstack.compute.conftest import Function
from tests.localstack.server import eventually


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "starts").mkdir()
    return tmp_path


@pytest.fixture
def gated(deploy: Callable[..., Function], folder: Path) -> Function:
    """A function whose environments start when the gate is open."""
    return deploy("functions.gated.handler", Environment={"Variables": {"FOLDER": str(folder)}})


def _starts(folder: Path) -> int:
    return len(list((folder / "starts").iterdir()))


def test_no_more_environments_start_at_once_than_there_are_processors(gated: Function, folder: Path) -> None:
    with ThreadPoolExecutor(3 * STARTS_AT_ONCE) as pool:
        answers = [pool.submit(gated.invoke) for _ in range(3 * STARTS_AT_ONCE)]
        eventually(lambda: _starts(folder) == STARTS_AT_ONCE)
        time.sleep(0.5)  # for a start that should not be
        assert _starts(folder) == STARTS_AT_ONCE
        (folder / "gate").touch()
        assert not any(answer.result().error for answer in answers)


def test_an_invocation_takes_the_environment_that_is_free_first(gated: Function, folder: Path) -> None:
    (folder / "gate").touch()
    first = gated.invoke().payload["pid"]
    (folder / "gate").unlink()
    with ThreadPoolExecutor(2) as pool:
        # GIVEN an environment that is busy, and a second one that starts for the next invocation
        busy = pool.submit(gated.invoke, _until(folder / "one"))
        eventually((folder / "one.started").exists)
        waiting = pool.submit(gated.invoke)
        eventually(lambda: _starts(folder) == 2)
        # WHEN the first is free while the second still starts
        (folder / "one").touch()
        # THEN it answers both
        assert (busy.result().payload["pid"], waiting.result().payload["pid"]) == (first, first)
        # AND the second is there for the next
        (folder / "gate").touch()
        busy = pool.submit(gated.invoke, _until(folder / "two"))
        eventually((folder / "two.started").exists)
        other = gated.invoke().payload["pid"]
        (folder / "two").touch()
        assert other != busy.result().payload["pid"]
        assert _starts(folder) == 2


def _until(file: Path) -> dict[str, str]:
    return {"started": f"{file}.started", "until": str(file)}


def test_each_failed_start_fails_one_invocation(gated: Function, folder: Path) -> None:
    (folder / "broken").touch()
    (folder / "gate").touch()
    with ThreadPoolExecutor(8) as pool:
        answers = [answer.result() for answer in [pool.submit(gated.invoke) for _ in range(8)]]
    assert all(answer.error for answer in answers)
    (folder / "broken").unlink()
    assert not gated.invoke().error
