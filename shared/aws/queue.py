"""The three queues of runs, and of what else is watched. A message holds ids only; everything else is in PostgreSQL."""

import json
import math
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.aws.clients import sqs
from shared.domain import Json
from shared.errors import QueueUnavailableError
from shared.settings import queue_settings
from shared.telemetry import ids, logger

# SQS delays a message by 15 minutes at most.
LONGEST_DELAY_S = 900
# ... and hides one for 12 hours at most.
LONGEST_VISIBILITY_S = 12 * 3600


@dataclass(frozen=True, kw_only=True)
class RunMessage:
    """What a queue says about a run, and the request that it began with (for the logs)."""

    agent_run_id: UUID
    thread_id: UUID
    account_id: str
    request_id: str | None = None

    def body(self) -> str:
        """The message's body."""
        return json.dumps(
            {
                "agent_run_id": str(self.agent_run_id),
                "thread_id": str(self.thread_id),
                "account_id": self.account_id,
                "request_id": self.request_id or ids().get("request_id"),
            }
        )

    @classmethod
    def parse(cls, body: str) -> "RunMessage":
        """The message of ``body``.

        Raises:
            ValueError: ``body`` is not such a message (a forged or foreign one).
        """
        try:
            fields = json.loads(body)
            return cls(
                agent_run_id=UUID(fields["agent_run_id"]),
                thread_id=UUID(fields["thread_id"]),
                account_id=str(fields["account_id"]),
                request_id=fields.get("request_id"),
            )
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(f"not a run message: {body[:200]!r}") from error


@dataclass(frozen=True, kw_only=True)
class AccountMessage:
    """What the watch queue says of an account that is to be deleted."""

    account_id: str
    request_id: str | None = None

    def body(self) -> str:
        """The message's body."""
        return json.dumps({"delete_account": self.account_id, "request_id": self.request_id or ids().get("request_id")})

    @classmethod
    def parse(cls, body: str) -> "AccountMessage | None":
        """The message of ``body``; ``None`` if it is not such a message."""
        try:
            fields = json.loads(body)
            account_id = fields["delete_account"]
            return (
                cls(account_id=account_id, request_id=fields.get("request_id")) if isinstance(account_id, str) else None
            )
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            return None


@dataclass(frozen=True, kw_only=True)
class LogMessage:
    """What the watch queue says of a thread that was deleted: its event log is to go."""

    generation: UUID
    request_id: str | None = None

    def body(self) -> str:
        """The message's body."""
        return json.dumps(
            {"delete_log": str(self.generation), "request_id": self.request_id or ids().get("request_id")}
        )

    @classmethod
    def parse(cls, body: str) -> "LogMessage | None":
        """The message of ``body``; ``None`` if it is not such a message."""
        try:
            fields = json.loads(body)
            return cls(generation=UUID(fields["delete_log"]), request_id=fields.get("request_id"))
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            return None


@dataclass(frozen=True, kw_only=True)
class EventsMessage:
    """What the watch queue says of a run that was deleted: its events are to go from its thread's log."""

    agent_run_id: UUID
    account_id: str
    request_id: str | None = None

    def body(self) -> str:
        """The message's body."""
        return json.dumps(
            {
                "delete_events": str(self.agent_run_id),
                "account_id": self.account_id,
                "request_id": self.request_id or ids().get("request_id"),
            }
        )

    @classmethod
    def parse(cls, body: str) -> "EventsMessage | None":
        """The message of ``body``; ``None`` if it is not such a message."""
        try:
            fields = json.loads(body)
            return cls(
                agent_run_id=UUID(fields["delete_events"]),
                account_id=str(fields["account_id"]),
                request_id=fields.get("request_id"),
            )
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            return None


@dataclass(frozen=True, kw_only=True)
class SweepMessage:
    """What a schedule puts on the watch queue: the time to sweep has come, and comes again in ``next_in_s``."""

    next_in_s: float
    request_id: str | None = None

    def body(self) -> str:
        """The message's body."""
        return json.dumps({"sweep_again_in_s": self.next_in_s})

    @classmethod
    def parse(cls, body: str) -> "SweepMessage | None":
        """The message of ``body``; ``None`` if it is not such a message."""
        try:
            return cls(next_in_s=float(json.loads(body)["sweep_again_in_s"]))
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
            return None


@dataclass(frozen=True, kw_only=True)
class ServeMessage:
    """What the watch queue says of an account's thread: whoever watches it is to get what there is."""

    thread_id: UUID
    account_id: str
    request_id: str | None = None

    def body(self) -> str:
        """The message's body."""
        return json.dumps(
            {
                "serve_thread": str(self.thread_id),
                "account_id": self.account_id,
                "request_id": self.request_id or ids().get("request_id"),
            }
        )

    @classmethod
    def parse(cls, body: str) -> "ServeMessage | None":
        """The message of ``body``; ``None`` if it is not such a message."""
        try:
            fields = json.loads(body)
            return cls(
                thread_id=UUID(fields["serve_thread"]),
                account_id=str(fields["account_id"]),
                request_id=fields.get("request_id"),
            )
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            return None


type Message = RunMessage | AccountMessage | LogMessage | EventsMessage | SweepMessage | ServeMessage


async def show_again(record: Json, *, after_s: float) -> None:
    """Make a received message visible again after ``after_s``, once it is reported as failed.

    ``record``: the message as a function's SQS event has it.
    """
    urls = queue_settings()
    name = record["eventSourceARN"].rsplit(":", 1)[-1]
    every = (urls.runs_queue_url, urls.retry_queue_url, urls.watch_queue_url)
    try:
        await (await sqs()).change_message_visibility(
            QueueUrl=next(url for url in every if url.endswith(f"/{name}")),
            ReceiptHandle=record["receiptHandle"],
            VisibilityTimeout=min(math.ceil(after_s), LONGEST_VISIBILITY_S),
        )
    except QueueUnavailableError:
        # It comes back later, by its queue's own visibility.
        logger.warning("a message could not be made visible", exc_info=True)


def is_watch(record: Json) -> bool:
    """Whether a received message came from the watch queue."""
    return queue_settings().watch_queue_url.endswith(f"/{record['eventSourceARN'].rsplit(':', 1)[-1]}")


async def send(queue: Literal["runs", "retry", "watch"], message: Message, *, delay_s: float = 0) -> None:
    """Put ``message`` on a queue, to be delivered after ``delay_s`` (cut to SQS's 15 minutes).

    Raises:
        QueueUnavailableError: SQS is away, or refuses for now.
    """
    urls = queue_settings()
    url = {"runs": urls.runs_queue_url, "retry": urls.retry_queue_url, "watch": urls.watch_queue_url}[queue]
    await (await sqs()).send_message(
        QueueUrl=url,
        MessageBody=message.body(),
        DelaySeconds=min(math.ceil(delay_s), LONGEST_DELAY_S),
    )
