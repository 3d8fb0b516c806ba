"""SQS's clock: delayed messages and visibility timeouts.

LocalStack looks once a second, and walks over its collections while other threads change them.
"""

import threading
from collections.abc import Callable
from typing import Any

from localstack.services.sqs.models import SqsQueue, StandardQueue, sqs_stores
from localstack.services.sqs.provider import QueueUpdateWorker

from suna_localstack.patching import replace

_INTERVAL_S = 0.1


def patch() -> None:
    """Look ten times a second, under the queue's lock."""
    stopped: dict[int, threading.Event] = {}

    def start(self: QueueUpdateWorker) -> None:
        stop_event = stopped.setdefault(id(self), threading.Event())

        def run() -> None:
            while not stop_event.wait(_INTERVAL_S):
                self.do_update_all_queues()

        threading.Thread(target=run, name="sqs-clock", daemon=True).start()

    def stop(self: QueueUpdateWorker) -> None:
        if (stop_event := stopped.pop(id(self), None)) is not None:
            stop_event.set()

    def iter_queues(_self: QueueUpdateWorker) -> list[SqsQueue]:
        return [queue for _, _, store in sqs_stores.iter_stores() for queue in list(store.queues.values())]

    worker: Any = QueueUpdateWorker
    worker.start, worker.stop, worker.iter_queues = start, stop, iter_queues
    replace(StandardQueue.put)(_under_lock)
    replace(SqsQueue.add_inflight_message)(_under_lock)


def _under_lock(method: Callable[..., Any], self: SqsQueue, *args: Any, **kwargs: Any) -> Any:
    with self.mutex:
        return method(self, *args, **kwargs)
