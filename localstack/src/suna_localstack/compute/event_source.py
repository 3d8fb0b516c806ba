"""SQS event source mappings with long polling and real concurrency.

LocalStack's own poller is one thread that handles one batch after the other and sleeps in between. Here one thread
waits at the queue, and every batch runs on a thread of a pool, as many at once as the mapping allows.
"""

import json
import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from localstack.aws.api.lambda_ import EventSourceMappingConfiguration, TooManyRequestsException
from localstack.services.lambda_.event_source_mapping.esm_worker import EsmWorker

from suna_localstack.compute.invocation import invoke
from suna_localstack.compute.poller import (
    Event,
    QueuePoller,
    make_worker,
    parse_batch_item_failures,
    transform_into_events,
)
from suna_localstack.compute.queue_source import Message, QueueSource

LOG = logging.getLogger(__name__)

_DEFAULT_CONCURRENCY = 50
"""Batches at once without ScalingConfig.MaximumConcurrency; AWS goes up to 1,250."""

_WAIT_S = 0.5
"""Longest wait at the queue before looking whether the mapping is still enabled."""

_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 2.0

type Mapping = dict[str, Any]
"""LocalStack's EventSourceMappingConfiguration."""


class SqsPoller(QueuePoller):
    """Reads a queue and invokes the function until ``stopped`` is set."""

    def __init__(self, mapping: Mapping, *, stopped: threading.Event) -> None:
        super().__init__(mapping["EventSourceArn"], filter_criteria=mapping.get("FilterCriteria", {}))
        self._function_arn = mapping["FunctionArn"]
        self._batch_size = mapping["BatchSize"]
        self._window_s = mapping.get("MaximumBatchingWindowInSeconds", 0)
        self._partial_failures = "ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", [])
        concurrency = mapping.get("ScalingConfig", {}).get("MaximumConcurrency") or _DEFAULT_CONCURRENCY
        self._slots = threading.Semaphore(concurrency)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix=f"sqs-{mapping['UUID'][:8]}")
        self._queue = QueueSource(mapping["EventSourceArn"])
        self._stopped = stopped

    def poll_events(self) -> None:
        """Poll until the mapping is disabled or deleted; an error at the queue leaves to the caller's backoff."""
        while not self._stopped.is_set():
            # A message is taken only when it can be worked on: what waits stays visible to others.
            if not self._slots.acquire(timeout=_WAIT_S):
                continue
            messages: list[Message] = []
            try:
                messages = self._queue.receive(batch_size=self._batch_size, wait_s=_WAIT_S, window_s=self._window_s)
            finally:
                if not messages:
                    self._slots.release()
            if messages:
                self._pool.submit(self._handle, messages)

    def close(self) -> None:
        """Start no more batches; those that run end by themselves."""
        self._pool.shutdown(wait=False)

    def _handle(self, messages: list[Message]) -> None:
        try:
            done = self._process(messages)
            self._queue.delete([message["ReceiptHandle"] for message in messages if message["MessageId"] in done])
        except Exception:
            LOG.exception("Batch of %s failed", self.source_arn)
        finally:
            self._slots.release()

    def _process(self, messages: list[Message]) -> set[str]:
        """Invoke the function on a batch; return the ids of the messages to delete."""
        events = self._matching(transform_into_events(messages))
        filtered_out = {message["MessageId"] for message in messages} - {event["messageId"] for event in events}
        if not events:
            return filtered_out
        payload = json.dumps({"Records": self.records(events)}).encode()
        answer = self._invoke(payload)
        if answer is None:
            return filtered_out
        return filtered_out | self._successful({event["messageId"] for event in events}, answer)

    def _matching(self, events: list[Event]) -> list[Event]:
        """Apply the filter criteria, which see a JSON body as an object."""
        if not self.filter_patterns:
            return events
        return [event for event in events if self.matches({**event, "body": _parsed(event["body"])})]

    def _invoke(self, payload: bytes) -> bytes | None:
        """The function's answer; None if it failed, or was throttled until the messages are visible again."""
        deadline = time.monotonic() + self._queue.visibility_timeout_s
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                result = invoke(self._function_arn, payload)
            except TooManyRequestsException:
                if time.monotonic() + backoff_s > deadline or self._stopped.wait(backoff_s * random.uniform(0.5, 1)):  # noqa: S311
                    return None
                backoff_s = min(2 * backoff_s, _LAST_BACKOFF_S)
            else:
                return None if result.is_error else result.payload

    def _successful(self, message_ids: set[str], answer: bytes) -> set[str]:
        if not self._partial_failures:
            return message_ids
        try:
            return message_ids - set(parse_batch_item_failures(answer.decode(), message_ids))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # As on AWS: an answer that cannot be read, or names a message that is not in the batch, fails all of it.
            LOG.warning("Invalid batch response of %s: %s", self._function_arn, error)
            return set()


def sqs_worker(mapping: EventSourceMappingConfiguration, *, enabled: bool) -> EsmWorker:
    """The worker LocalStack's provider starts, stops and deletes."""
    # Its type lets everything be None; what a queue's mapping needs is there.
    given = cast(Mapping, mapping)
    return make_worker(mapping, enabled=enabled, make_poller=lambda stopped: SqsPoller(given, stopped=stopped))


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
