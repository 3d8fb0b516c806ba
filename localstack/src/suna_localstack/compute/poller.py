"""LocalStack's base of a poller and worker of event source mappings, with the types that it leaves out.

Its annotations are bare ``dict``; what goes through it here are messages and events of SQS.
"""
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import threading
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, cast

from localstack.aws.api.lambda_ import EventSourceMappingConfiguration
from localstack.services.lambda_.event_source_mapping.esm_worker import EsmStateReason, EsmWorker
from localstack.services.lambda_.event_source_mapping.pollers import poller, sqs_poller

from suna_localstack.compute.queue_source import Message

_UNUSED: Any = object()
"""In the place of a client and a processor, which LocalStack would make; the queue is read without."""


class Event(TypedDict):
    """A record of a function's event; there is more in it, of which nothing is read here."""

    messageId: str
    body: str


class QueuePoller(poller.Poller, ABC):
    """Polls one queue, with the filter criteria of its mapping."""

    def __init__(self, arn: str, *, filter_criteria: Mapping[str, Any]) -> None:
        super().__init__(
            source_arn=arn,
            source_parameters={"FilterCriteria": filter_criteria},
            source_client=_UNUSED,
            processor=_UNUSED,
        )

    def event_source(self) -> str:
        return "aws:sqs"

    def matches(self, event: dict[str, Any]) -> bool:
        """Whether the filter criteria let the event, whose body may be an object, through."""
        return bool(self.filter_events([event]))

    def records(self, events: list[Event]) -> list[Event]:
        """The events with what the function sees of their source."""
        untyped: Any = events
        return cast(list[Event], self.add_source_metadata(untyped))


def transform_into_events(messages: list[Message]) -> list[Event]:
    """The function's side of messages; as many, in the same order."""
    untyped: Any = messages
    return cast(list[Event], sqs_poller.transform_into_events(untyped))


def parse_batch_item_failures(answer: str, message_ids: set[str]) -> list[str]:
    """The messages that a function's answer gives back.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        It cannot be read, or names a message that is not in the batch.
    """
    return poller.parse_batch_item_failures(answer, message_ids)


def make_worker(
    mapping: EventSourceMappingConfiguration,
    *,
    enabled: bool,
    make_poller: Callable[[threading.Event], QueuePoller],
) -> EsmWorker:
    """The worker that LocalStack's provider starts, stops and deletes.

    ``make_poller`` gets the event that ends the poller when it is set.
    """
    worker = EsmWorker(mapping, poller=_UNUSED, enabled=enabled, user_state_reason=EsmStateReason.USER_INITIATED)
    worker.poller = make_poller(worker._shutdown_event)  # pyright: ignore[reportPrivateUsage] - there is no other
    return worker
