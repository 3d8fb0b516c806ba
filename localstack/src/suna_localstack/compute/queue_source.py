"""An SQS queue as an event source, read in LocalStack's process.

A long poll over HTTP would hold a thread of the endpoint for each mapping, and cost a request for each batch.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any, TypedDict, cast

from localstack.aws.api.sqs import MessageSystemAttributeName
from localstack.services.sqs.models import ReceiveMessageResult, SqsQueue, sqs_stores, to_sqs_api_message
from localstack.utils.aws.arns import parse_arn

_ALL_ATTRIBUTES: Any = [MessageSystemAttributeName.All]


class QueueMissingError(Exception):
    """The queue does not exist: {arn}."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"The queue does not exist: {arn!r}")


class Message(TypedDict):
    """A message as ReceiveMessage gives it; there is more in it, of which nothing is read here."""

    MessageId: str
    ReceiptHandle: str


class QueueSource:
    """Receives batches of messages as ReceiveMessage would, dead-letter queue included."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._queue()

    @property
    def visibility_timeout_s(self) -> int:
        return self._queue().visibility_timeout

    def receive(self, *, batch_size: int, wait_s: float, window_s: float) -> list[Message]:
        """Receive up to ``batch_size`` messages.

        Waits up to ``wait_s`` for the first one; from then on up to ``window_s`` for the batch to fill.
        """
        messages = self._receive(batch_size, wait_s)
        deadline = time.monotonic() + window_s
        while messages and len(messages) < batch_size and (left_s := deadline - time.monotonic()) > 0:
            messages += self._receive(batch_size - len(messages), left_s)
        return messages

    def delete(self, receipt_handles: list[str]) -> None:
        """Delete messages; one that is gone already is none of our business."""
        with contextlib.suppress(QueueMissingError):
            queue = self._queue()
            for receipt_handle in receipt_handles:
                queue.remove(receipt_handle)

    def _receive(self, count: int, wait_s: float) -> list[Message]:
        queue = self._queue()
        # Its annotation has whole seconds; it waits for parts of one, too.
        result = cast(Callable[[int, float], ReceiveMessageResult], queue.receive)(count, wait_s)
        self._move_dead_letters(queue, result)
        messages: list[Message] = []
        for message, receipt_handle in zip(result.successful, result.receipt_handles, strict=True):
            received = to_sqs_api_message(message, _ALL_ATTRIBUTES, ["All"])
            messages.append(cast(Message, {**received, "ReceiptHandle": receipt_handle}))
        return messages

    def _move_dead_letters(self, queue: Any, result: ReceiveMessageResult) -> None:
        if not result.dead_letter_messages:
            return
        target: Any = _find(queue.redrive_policy["deadLetterTargetArn"])
        dead: Any
        for dead in result.dead_letter_messages:
            dead.message["Attributes"][MessageSystemAttributeName.DeadLetterQueueSourceArn] = queue.arn
            target.put(
                message=dead.message,
                message_deduplication_id=dead.message_deduplication_id,
                message_group_id=dead.message_group_id,
            )

    def _queue(self) -> SqsQueue:
        return _find(self._arn)


def _find(arn: str) -> SqsQueue:
    parts = parse_arn(arn)
    queue = sqs_stores[parts["account"]][parts["region"]].queues.get(parts["resource"])
    if queue is None:
        raise QueueMissingError(arn)
    return queue
