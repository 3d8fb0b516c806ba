"""The loop that all workers share."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from suna_localstack.compute import event_loop


def test_those_who_come_first_at_the_same_time_share_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    make = asyncio.new_event_loop

    def slowly() -> asyncio.AbstractEventLoop:
        time.sleep(0.1)  # so that everybody comes before it is there
        return make()

    async def mine() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    event_loop._loop.cache_clear()
    monkeypatch.setattr(asyncio, "new_event_loop", slowly)
    with ThreadPoolExecutor(8) as pool:
        loops = [pool.submit(lambda: event_loop.run(mine())) for _ in range(8)]
        assert len({loop.result() for loop in loops}) == 1
