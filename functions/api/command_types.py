"""The Agent Streaming Protocol's commands: what each takes, answers and needs. docs/asyncapi.json is made of them."""

from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from functions.api.body import Body, Fields
from functions.api.stops import CancelAction
from functions.api.wire import RunCreate, WireRunStatus
from shared.domain import LONGEST_CALL_ID, Scope
from shared.events import CHANNELS

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Of an event with a number, or of one that stands behind it.
_EVENT_ID = f"^{_UUID}:[0-9]{{1,18}}(:{_UUID})?$"

# Of an event, a tool, an agent. What is asked for is kept, and read with each look at who watches the thread.
_LONGEST_NAME = 128
_MOST_CHARACTERS = 4096


class Command(BaseModel):
    """A command's envelope."""

    model_config = ConfigDict(extra="ignore")

    id: int = Field(ge=0)
    method: str = Field(max_length=100)
    params: Fields = Field(default_factory=dict[str, Any])


class SubscribeParams(Body):
    """``params`` of ``subscription.subscribe``.

    ``namespaces``: prefixes, each a path in the tree of agents; ``depth``: how far below them. ``since``: only events
    after this one, by its ``event_id``, or by its number. An ``event_id`` says of which log the number is: where the
    thread was deleted and made again, all events of the new one come, whose numbers begin anew.
    """

    channels: list[Annotated[str, Field(max_length=_LONGEST_NAME)]] = Field(min_length=1, max_length=32)
    namespaces: list[Annotated[list[Annotated[str, Field(max_length=_LONGEST_NAME)]], Field(max_length=32)]] | None = (
        Field(default=None, max_length=32)
    )
    depth: int | None = Field(default=None, ge=0, le=1000)
    since: Annotated[int, Field(ge=0, lt=2**63)] | Annotated[str, Field(pattern=_EVENT_ID)] | None = None

    @property
    def prefixes(self) -> tuple[tuple[str, ...], ...] | None:
        """The namespaces that are wanted; ``None`` for all."""
        return tuple(tuple(prefix) for prefix in self.namespaces) if self.namespaces else None

    @property
    def place(self) -> tuple[UUID | None, int] | None:
        """``since``: the generation of the log, if that was given, and the number in it."""
        if not isinstance(self.since, str):
            return None if self.since is None else (None, self.since)
        generation, seq, *_ = self.since.split(":")
        return UUID(generation), int(seq)

    @field_validator("namespaces")
    @classmethod
    def _few(cls, namespaces: list[list[str]] | None) -> list[list[str]] | None:
        if sum(len(name) for prefix in namespaces or () for name in prefix) > _MOST_CHARACTERS:
            raise ValueError(f"they have more than {_MOST_CHARACTERS} characters: subscribe with fewer at once")
        return namespaces

    @field_validator("since", mode="wrap")
    @classmethod
    def _event(cls, since: object, checked: ValidatorFunctionWrapHandler) -> object:
        """One problem, and not one for each thing that it might have been."""
        try:
            return checked(since)
        except ValidationError as error:
            raise ValueError("give an event's event_id, or its number") from error

    @field_validator("channels")
    @classmethod
    def _known(cls, channels: list[str]) -> list[str]:
        for channel in channels:
            if channel not in CHANNELS and not channel.startswith("custom:"):
                raise ValueError(f"there is no channel {channel!r}; there are {', '.join(sorted(CHANNELS))}")
        return channels


class UnsubscribeParams(Body):
    """``params`` of ``subscription.unsubscribe``."""

    subscription_id: str


class RespondParams(Body):
    """``params`` of ``input.respond``: what ``input.requested`` named, and the answer to it."""

    interrupt_id: str = Field(min_length=1, max_length=LONGEST_CALL_ID)
    response: Any = None


class CancelParams(Body):
    """``params`` of ``run.cancel``."""

    run_id: UUID
    action: CancelAction = "interrupt"


class StateGetParams(Body):
    """``params`` of ``state.get``. ``keys``: of ``values``; without it, all."""

    namespace: list[Annotated[str, Field(max_length=_LONGEST_NAME)]] = Field(default_factory=list[str], max_length=32)
    keys: list[Annotated[str, Field(max_length=_LONGEST_NAME)]] | None = Field(default=None, max_length=32)


class NoParams(BaseModel):
    """A command that takes nothing."""


class Empty(TypedDict):
    """Nothing to tell but that it was done."""


class Subscribed(TypedDict):
    """The subscription, for ``subscription.unsubscribe``."""

    subscription_id: str


class Started(TypedDict):
    """The run that was recorded; it begins when the thread's earlier ones have ended."""

    run_id: str


class Cancelled(TypedDict):
    """The run, and how it stands."""

    run_id: str
    status: WireRunStatus


class StateCheckpoint(TypedDict):
    """A checkpoint: ``id`` as the protocol names it, and the fields that HTTP answers."""

    id: str
    ns: str
    thread_id: str
    checkpoint_id: str
    checkpoint_ns: str
    checkpoint_map: None


class State(TypedDict):
    """The thread's state, as ``GET /threads/{thread_id}/state`` answers; without messages it has no checkpoint."""

    values: dict[str, Any]
    next: list[str]
    tasks: list[dict[str, Any]]
    interrupts: list[dict[str, Any]]
    metadata: dict[str, Any]
    created_at: str
    checkpoint: NotRequired[StateCheckpoint]
    parent_checkpoint: dict[str, Any] | None


@dataclass(frozen=True)
class CommandType:
    """``scope``: what a credential must allow. ``result``: a TypedDict."""

    params: type[BaseModel]
    result: Any
    summary: str
    scope: Scope = "write"


COMMANDS: dict[str, CommandType] = {
    "input.respond": CommandType(RespondParams, Started, "Answer what a run has asked for: starts the next run"),
    "ping": CommandType(NoParams, Empty, "Keep the connection open: send it every five minutes"),
    "run.cancel": CommandType(CancelParams, Cancelled, "Stop a run"),
    "run.start": CommandType(RunCreate, Started, "Start a run; a thread that does not exist is made"),
    "state.get": CommandType(StateGetParams, State, "The thread's state, where it fits a message of 128 KB", "read"),
    "subscription.subscribe": CommandType(
        SubscribeParams, Subscribed, "Get the thread's events of these channels, from now on or after a number", "read"
    ),
    "subscription.unsubscribe": CommandType(UnsubscribeParams, Empty, "Get them no more", "read"),
}
