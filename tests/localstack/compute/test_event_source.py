"""SQS event source mappings."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.localstack.compute.conftest import Function
from tests.localstack.server import LocalStack, eventually


class Queue:
    """A queue, its dead-letter queue, and what the function behind its mapping has noted."""

    def __init__(self, localstack: LocalStack, deploy: Callable[..., Function], notes: Path) -> None:
        self._sqs = localstack.client("sqs")
        self.lambda_ = localstack.client("lambda")
        self.notes = notes
        self.function = deploy("functions.queue.handler", Environment={"Variables": {"NOTES": str(notes)}})
        name = f"queue-{uuid.uuid4().hex[:8]}"
        self.dead_letter_url = self._sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        redrive = {"deadLetterTargetArn": self._arn(self.dead_letter_url), "maxReceiveCount": 2}
        attributes = {"VisibilityTimeout": "1", "RedrivePolicy": json.dumps(redrive)}
        self.url = self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.mapping = ""

    def map(self, **options: Any) -> None:
        """Create the mapping and wait until it is enabled."""
        created = self.lambda_.create_event_source_mapping(
            EventSourceArn=self._arn(self.url),
            FunctionName=self.function.name,
            **{"BatchSize": 1, "FunctionResponseTypes": ["ReportBatchItemFailures"], **options},
        )
        self.mapping = created["UUID"]
        self.wait_for_state("Enabled")

    def wait_for_state(self, state: str) -> None:
        eventually(lambda: self.lambda_.get_event_source_mapping(UUID=self.mapping)["State"] == state)

    def set_visibility_timeout(self, seconds: int) -> None:
        self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"VisibilityTimeout": str(seconds)})

    def send(self, *bodies: dict[str, Any], delay_s: int = 0) -> list[str]:
        entries = [
            {"Id": str(number), "MessageBody": json.dumps(body), "DelaySeconds": delay_s}
            for number, body in enumerate(bodies)
        ]
        sent = self._sqs.send_message_batch(QueueUrl=self.url, Entries=entries)["Successful"]
        return [message["MessageId"] for message in sorted(sent, key=lambda message: int(message["Id"]))]

    def batches(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.notes.read_text().splitlines()] if self.notes.exists() else []

    def wait_for_batches(self, count: int) -> list[dict[str, Any]]:
        return eventually(lambda: seen if len(seen := self.batches()) >= count else None)

    def is_empty(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return set(counts.values()) == {"0"}

    def dead_letters(self) -> list[dict[str, Any]]:
        received = self._sqs.receive_message(
            QueueUrl=self.dead_letter_url, WaitTimeSeconds=10, MessageSystemAttributeNames=["All"]
        )
        return received.get("Messages", [])

    def _arn(self, url: str) -> str:
        names = ["QueueArn"]
        return self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"]


@pytest.fixture
def queue(localstack: LocalStack, deploy: Callable[..., Function], tmp_path: Path) -> Queue:
    return Queue(localstack, deploy, tmp_path / "notes")


def test_event_is_aws(queue: Queue) -> None:
    queue.map()

    message_id = queue.send({"a": 1})[0]

    record = queue.wait_for_batches(1)[0]["records"][0]
    assert record["messageId"] == message_id
    assert record["body"] == '{"a": 1}'
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(queue.url.rpartition("/")[2])
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"receiptHandle", "messageAttributes", "md5OfBody"} <= record.keys()
    eventually(queue.is_empty)


def test_maximum_concurrency_is_used_and_held(queue: Queue, tmp_path: Path) -> None:
    queue.set_visibility_timeout(60)
    queue.map(ScalingConfig={"MaximumConcurrency": 3})
    until = tmp_path / "until"

    queue.send(*[{"until": str(until)}] * 8)

    queue.wait_for_batches(3)
    # Every message would be taken within milliseconds; what is not is visible to other consumers.
    names = ["ApproximateNumberOfMessages"]
    visible = queue._sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
    assert visible == {"ApproximateNumberOfMessages": "5"}
    assert len(queue.batches()) == 3
    until.touch()
    queue.wait_for_batches(8)
    eventually(queue.is_empty)


def test_batch_is_filled_within_its_window(queue: Queue) -> None:
    queue.map(BatchSize=5, MaximumBatchingWindowInSeconds=5)

    queue.send({}, {}, {})
    queue.send({}, {})

    assert len(queue.wait_for_batches(1)[0]["records"]) == 5


def test_batching_window_ends_with_what_there_is(queue: Queue) -> None:
    queue.map(BatchSize=5, MaximumBatchingWindowInSeconds=1)

    queue.send({}, {})

    assert len(queue.wait_for_batches(1)[0]["records"]) == 2


def test_only_failed_items_come_back_and_end_in_the_dead_letter_queue(queue: Queue) -> None:
    queue.map(BatchSize=3)

    ids = queue.send({}, {"fail": "item"}, {})

    letters = queue.dead_letters()
    assert [letter["MessageId"] for letter in letters] == [ids[1]]
    seen = [record["messageId"] for batch in queue.batches() for record in batch["records"]]
    assert {message_id: seen.count(message_id) for message_id in ids} == {ids[0]: 1, ids[1]: 2, ids[2]: 1}
    eventually(queue.is_empty)


def test_failed_batch_comes_back_after_its_visibility_timeout(queue: Queue) -> None:
    queue.map()

    sent_at = time.time()

    message_id = queue.send({"fail": "batch"})[0]

    first, second = queue.wait_for_batches(2)
    counts = [batch["records"][0]["attributes"]["ApproximateReceiveCount"] for batch in (first, second)]
    assert counts == ["1", "2"]
    assert second["started_at"] - sent_at >= 1
    assert [letter["MessageId"] for letter in queue.dead_letters()] == [message_id]


def test_without_batch_item_failures_the_answer_does_not_matter(queue: Queue) -> None:
    queue.map(FunctionResponseTypes=[])

    queue.send({"fail": "item"})

    queue.wait_for_batches(1)
    eventually(queue.is_empty)


def test_filtered_messages_are_deleted(queue: Queue) -> None:
    pattern = {"body": {"kind": ["wanted"]}}
    queue.map(FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})

    _, wanted = queue.send({"kind": "other"}, {"kind": "wanted"})

    batches = queue.wait_for_batches(1)
    eventually(queue.is_empty)
    assert [record["messageId"] for batch in batches for record in batch["records"]] == [wanted]


def test_delay_is_kept(queue: Queue) -> None:
    queue.map()
    queue.send({})
    queue.wait_for_batches(1)
    sent_at = time.time()

    queue.send({}, delay_s=1)

    assert queue.wait_for_batches(2)[1]["started_at"] - sent_at >= 1


def test_throttled_message_is_retried(queue: Queue, localstack: LocalStack) -> None:
    queue.set_visibility_timeout(30)
    queue.map()
    client = localstack.client("lambda")
    client.put_function_concurrency(FunctionName=queue.function.name, ReservedConcurrentExecutions=0)
    queue.send({})
    eventually(lambda: not queue.is_empty())
    assert queue.batches() == []

    client.delete_function_concurrency(FunctionName=queue.function.name)

    batch = queue.wait_for_batches(1)[0]
    assert batch["records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    eventually(queue.is_empty)


def test_disabled_mapping_takes_nothing_until_it_is_enabled(queue: Queue) -> None:
    queue.map()
    queue.lambda_.update_event_source_mapping(UUID=queue.mapping, Enabled=False)
    queue.wait_for_state("Disabled")
    queue.send({})
    assert not queue.is_empty()
    assert queue.batches() == []

    queue.lambda_.update_event_source_mapping(UUID=queue.mapping, Enabled=True)

    queue.wait_for_batches(1)
    eventually(queue.is_empty)


def test_deleted_mapping_takes_nothing(queue: Queue) -> None:
    queue.map()
    queue.lambda_.delete_event_source_mapping(UUID=queue.mapping)

    def gone() -> bool:
        listed = queue.lambda_.list_event_source_mappings(FunctionName=queue.function.name)
        return listed["EventSourceMappings"] == []

    eventually(gone)
    queue.send({})
    received = queue._sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=5)
    assert len(received["Messages"]) == 1
