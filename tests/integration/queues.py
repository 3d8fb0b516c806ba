"""The three queues of one test."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from shared.aws.clients import sqs
from shared.aws.queue import RunMessage

type QueueName = Literal["runs", "retry", "watch"]


@dataclass(frozen=True)
class Queues:
    """Real SQS queues."""

    urls: dict[QueueName, str]

    async def visible(self, name: QueueName) -> list[RunMessage]:
        """What a consumer would get now; it is taken."""
        client: Any = await sqs()
        answer = await client.receive_message(QueueUrl=self.urls[name], MaxNumberOfMessages=10, WaitTimeSeconds=0)
        messages = answer.get("Messages", [])
        for message in messages:
            await client.delete_message(QueueUrl=self.urls[name], ReceiptHandle=message["ReceiptHandle"])
        return [RunMessage.parse(message["Body"]) for message in messages]

    async def delayed(self, name: QueueName) -> int:
        """How many messages a consumer will get later."""
        client: Any = await sqs()
        attribute = "ApproximateNumberOfMessagesDelayed"
        answer = await client.get_queue_attributes(QueueUrl=self.urls[name], AttributeNames=[attribute])
        return int(answer["Attributes"][attribute])

    async def records(self, name: QueueName) -> list[dict[str, Any]]:
        """The visible messages as records of an event for Lambda, taken but not deleted."""
        client: Any = await sqs()
        answer = await client.receive_message(
            QueueUrl=self.urls[name],
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
        )
        queue = self.urls[name].rsplit("/", 1)[-1]
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
                "awsRegion": "us-east-1",
            }
            for message in answer.get("Messages", [])
        ]

    async def send(self, name: QueueName, body: object) -> None:
        """Put anything on a queue."""
        client: Any = await sqs()
        text = body if isinstance(body, str) else json.dumps(body)
        await client.send_message(QueueUrl=self.urls[name], MessageBody=text)
