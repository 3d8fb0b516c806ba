"""Threads that have ended are let go.

LocalStack keeps every thread that it starts, one an invocation and more a state of Step Functions, to stop them when
it ends. Since Python 3.13 a thread's stack is unmapped when its object is: the process would come to the kernel's
limit of memory maps after some 30,000 invocations, and could start no thread any more.
"""

import threading
import time
from contextlib import suppress
from typing import cast

from localstack.utils.threads import TMP_THREADS

_INTERVAL_S = 1.0


def forget_ended() -> None:
    """Have ended threads forgotten once a second, for the rest of the process."""
    threading.Thread(target=_sweep, name="forget-ended-threads", daemon=True).start()


def _sweep() -> None:
    while True:
        time.sleep(_INTERVAL_S)
        # Others append meanwhile, or clear it at the end: the list stays the same, and only single entries go.
        # Its annotation knows of threads only; a pool of them is in it, too.
        for thread in cast(list[object], list(TMP_THREADS)):
            if isinstance(thread, threading.Thread) and thread.ident is not None and not thread.is_alive():
                with suppress(ValueError):
                    cast(list[object], TMP_THREADS).remove(thread)
