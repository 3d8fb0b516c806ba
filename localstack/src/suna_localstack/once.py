"""What a process has one of, although LocalStack serves every request on a thread of its own."""

import functools
import threading
from collections.abc import Callable


def once[T](make: Callable[[], T]) -> Callable[[], T]:
    """Cache what ``make`` returns; it is called once, however many threads come first at the same time.

    ``functools.cache`` would call it for each of them. What it raises is not kept: the next caller tries again.
    """
    lock = threading.RLock()
    cached = functools.cache(make)

    @functools.wraps(make)
    def get() -> T:
        with lock:
            return cached()

    return get
