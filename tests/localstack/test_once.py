"""What a process has one of."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from suna_localstack.once import once


def test_those_who_come_first_at_the_same_time_get_the_same() -> None:
    @once
    def make() -> object:
        time.sleep(0.1)  # so that everybody comes before it is there
        return object()

    with ThreadPoolExecutor(8) as pool:
        assert len({made.result() for made in [pool.submit(make) for _ in range(8)]}) == 1


def test_what_has_failed_is_tried_again() -> None:
    tries: list[int] = []

    @once
    def make() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError
        return "made"

    with pytest.raises(OSError):
        make()
    assert (make(), make(), len(tries)) == ("made", "made", 2)
