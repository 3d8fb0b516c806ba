"""The one event loop of this package inside LocalStack's process, on a thread of its own.

LocalStack serves each request on a thread of a pool; the Runtime API, the workers and their output of all execution
environments share this loop instead of a server and several threads each.
"""

import asyncio
import threading
from collections.abc import Coroutine

from suna_localstack.once import once


@once
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="lambda-workers", daemon=True).start()
    return loop


def run[T](coroutine: Coroutine[object, object, T]) -> T:
    """Run a coroutine on the loop from any other thread, and wait for its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()
