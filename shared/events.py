"""Events of the Agent Streaming Protocol, as clients get them (PyPI ``langchain-protocol`` has the types).

An event is made final before it gets its number: what the log holds, what is pushed and what is replayed are the
same bytes, one event a WebSocket frame.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NotRequired, TypedDict
from uuid import UUID, uuid4

from shared.domain import Json, RunStatus

Channel = Literal["messages", "tools", "lifecycle", "input", "values", "updates", "checkpoints", "tasks", "custom"]
CHANNELS: frozenset[str] = frozenset(
    {"messages", "tools", "lifecycle", "input", "values", "updates", "checkpoints", "tasks", "custom"}
)

# The names of custom events, which are stable.
CUSTOM = {
    "connection_expiring": "open another connection, and subscribe there since the last number seen",
    "context_left_out": "messages that the model was not shown, for they did not fit",
    "gap": "numbers that are lost; a snapshot follows",
    "mcp_server_unusable": "an MCP server whose tools the run has to do without",
    "run_queued": "a run that waits for the thread's earlier ones",
    "run_taken_over": "a run whose executor died, and that another one goes on with",
    "summary": "a summary of the thread's older messages",
}

# Characters of JSON: an event is 64 KB at most.
_LONGEST_VALUE = 50_000
# Characters of text, of which one (an emoji) may cost twelve bytes in JSON.
_LONGEST_TEXT = 5_000
_LONGEST_TEXT_JSON = 60_000


# What every subscription gets, whatever its filter.
TO_ALL = "*"


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event before it has a number. ``channel`` is what subscriptions filter by; ``method`` goes on the wire.

    ``run_id``: the run that it tells of; ``None`` if it tells of the thread. ``to_all``: filters do not apply.
    """

    channel: Channel
    data: Json
    run_id: UUID | None
    to_all: bool = False
    timestamp_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def method(self) -> str:
        """The wire's method: the channel's name, but for ``input``."""
        return "input.requested" if self.channel == "input" else self.channel


@dataclass(frozen=True, kw_only=True)
class Logged:
    """An event with its number: ``frame`` is the JSON object that clients get, ``channel`` may be ``TO_ALL``.

    ``is_private``: it was said while the thread was private, and is its account's only; it got its number later.
    """

    seq: int
    channel: str
    frame: str
    is_private: bool = False

    @cached_property
    def told(self) -> "Told":
        """What of the frame decides who wants it: it is read once, however many are asked."""
        frame = json.loads(self.frame)
        params = frame["params"]
        return Told(
            method=frame["method"], name=params["data"].get("name"), namespace=tuple(params.get("namespace", ()))
        )


@dataclass(frozen=True, kw_only=True)
class Told:
    """``name``: of a custom event; ``namespace``: its place in the tree of agents."""

    method: str
    name: str | None
    namespace: tuple[str, ...]


def number(event: Event, *, generation: UUID, seq: int) -> Logged:
    """Give an event its number in the thread's log. ``event_id`` is a function of the log and the number."""
    channel = TO_ALL if event.to_all else event.channel
    return Logged(seq=seq, channel=channel, frame=_frame(event, event_id=f"{generation}:{seq}", seq=seq))


def is_state(event: Logged) -> bool:
    """Whether it says how the thread stands (:func:`values`)."""
    return event.channel == TO_ALL and event.told.method == "values"


def is_of_run(event: Logged, run_id: UUID) -> bool:
    """Whether it tells of the run."""
    return json.loads(event.frame)["params"].get("run_id") == str(run_id)


def unnumbered(event: Event, *, generation: UUID, after: int) -> str:
    """The frame of what concerns one connection only: it has no number, and stands behind the number ``after``."""
    return _frame(event, event_id=f"{generation}:{after}:{uuid4()}")


def _frame(event: Event, **ids: Any) -> str:
    params: Json = {"namespace": [], "timestamp": event.timestamp_ms}
    if event.run_id is not None:
        params["run_id"] = str(event.run_id)
    frame: Json = {"type": "event", **ids, "method": event.method, "params": {**params, "data": event.data}}
    return json.dumps(frame, separators=(",", ":"))


class RunUsage(TypedDict):
    """What a run has used: tokens, and the price in US dollars where that of every model it called is known.

    ``estimated``: there, and true, if some of the tokens were counted by us.
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    estimated: NotRequired[bool]
    price_usd: NotRequired[float]


def lifecycle(run_id: UUID, event: str, *, error: Json | None = None, usage: Json | None = None) -> Event:
    """A turn in the run's life: ``running``, ``completed``, ``failed`` (stopped and timed out too, with a code).

    ``usage``: a :class:`RunUsage`, which the protocol's type does not know.
    """
    data: Json = {"event": event}
    if usage is not None:
        data["usage"] = usage
    if error is not None:
        data["error"] = f"{error['code']}: {error['message']}"
    return Event(channel="lifecycle", run_id=run_id, data=data)


def message_start(run_id: UUID, message_id: UUID, *, metadata: dict[str, Any]) -> Event:
    """An assistant's message begins; ``metadata``: ``model``, ``provider``."""
    return Event(
        channel="messages",
        run_id=run_id,
        data={
            "event": "message-start",
            "role": "ai",
            "id": str(message_id),
            "metadata": {"run_id": str(run_id), **metadata},
        },
    )


def block_start(run_id: UUID, index: int, content: Json) -> Event:
    """Content block ``index`` of the open message begins."""
    return Event(
        channel="messages",
        run_id=run_id,
        data={"event": "content-block-start", "index": index, "content": content},
    )


def block_delta(run_id: UUID | None, index: int, delta: Json) -> Event:
    """More of content block ``index``."""
    return Event(
        channel="messages",
        run_id=run_id,
        data={"event": "content-block-delta", "index": index, "delta": delta},
    )


def block_finish(run_id: UUID, index: int, content: Json) -> Event:
    """Content block ``index``, whole; its text is cut if the event would be too long, the deltas have all of it."""
    kind: str = content["type"]
    if isinstance(content.get(kind), str):
        content = {**content, kind: _fitting_text(content[kind])}
    return Event(
        channel="messages",
        run_id=run_id,
        data={"event": "content-block-finish", "index": index, "content": content},
    )


def message_finish(run_id: UUID, usage: Json | None) -> Event:
    """The open message is complete; ``usage`` in tokens, ``estimated`` where the provider has not told it.

    ``None``: nothing was asked of a provider.
    """
    data: Json = {"event": "message-finish"}
    if usage is not None:
        data["usage"] = usage
    return Event(channel="messages", run_id=run_id, data=data)


def message_error(run_id: UUID, *, code: str, message: str) -> Event:
    """The open message is abandoned."""
    return Event(channel="messages", run_id=run_id, data={"event": "error", "message": message, "code": code})


def tool_started(run_id: UUID, call_id: str, *, name: str, arguments: Json) -> Event:
    """A tool is about to be executed."""
    return Event(
        channel="tools",
        run_id=run_id,
        data={"event": "tool-started", "tool_call_id": call_id, "tool_name": name, "input": fitting(arguments)},
    )


def tool_finished(run_id: UUID, call_id: str, *, output: Any) -> Event:
    """A tool has succeeded."""
    return Event(
        channel="tools",
        run_id=run_id,
        data={"event": "tool-finished", "tool_call_id": call_id, "output": fitting(output)},
    )


def tool_error(run_id: UUID, call_id: str, *, message: str) -> Event:
    """A tool has failed, or was not executed; the model is told the same."""
    return Event(
        channel="tools",
        run_id=run_id,
        data={"event": "tool-error", "tool_call_id": call_id, "message": message[:_LONGEST_TEXT]},
    )


def input_requested(run_id: UUID, interrupt_id: str, *, payload: Json) -> Event:
    """The run ends here; somebody's answer starts the next one."""
    return Event(channel="input", run_id=run_id, data={"interrupt_id": interrupt_id, "payload": fitting(payload)})


def fitting(value: Any) -> Any:
    """``value``, or the beginning of its JSON where that is too long for an event; the whole is in the messages."""
    text = json.dumps(value)
    return value if len(text) <= _LONGEST_VALUE else {"truncated": text[: _LONGEST_VALUE // 2]}


def _fitting_text(text: str) -> str:
    """``text``, or as much of its beginning as an event can hold."""
    while (size := len(json.dumps(text))) > _LONGEST_TEXT_JSON:
        text = text[: len(text) * _LONGEST_TEXT_JSON // size]
    return text


def custom(run_id: UUID, name: str, payload: Json) -> Event:
    """What the protocol has no word for, under a stable name."""
    return Event(channel="custom", run_id=run_id, data={"name": name, "payload": fitting(payload)})


def gap(*, first: int, last: int) -> Event:
    """The numbers from ``first`` to ``last`` are lost, but for those that the log has; a snapshot follows."""
    payload: Json = {"from": first, "to": last}
    return Event(channel="custom", run_id=None, data={"name": "gap", "payload": payload}, to_all=True)


def values(thread_id: UUID, messages: Sequence[Json] | None) -> Event:
    """The thread as the database has it: its newest messages; by reference where they are unknown or too many."""
    data: Json = {"messages": messages}
    if messages is None or len(json.dumps(data)) > _LONGEST_VALUE:
        data = {"truncated": True, "state": f"/threads/{thread_id}/state"}
    return Event(channel="values", run_id=None, data=data, to_all=True)


def connection_expiring(expires_at_s: int) -> Event:
    """The connection ends then (epoch, s): open another one, and subscribe there since the last number seen."""
    payload: Json = {"expires_at": expires_at_s * 1000}
    return Event(channel="custom", run_id=None, data={"name": "connection_expiring", "payload": payload}, to_all=True)


def terminal(run_id: UUID, status: RunStatus, error: Json | None, *, usage: Json | None = None) -> Event:
    """The one event that ends a run; ``usage`` where a model has answered.

    The protocol knows two ends; an ``ask`` ends as an interrupt does, and what was stopped or timed out has failed.
    """
    word = {"completed": "completed", "needs_input": "interrupted"}.get(status, "failed")
    if word != "failed":
        return lifecycle(run_id, word, usage=usage)
    told = error or {"code": status, "message": f"the run has ended as {status}"}
    return lifecycle(run_id, word, error=told, usage=usage)
