"""A run's events, as the log holds them, in the stream modes that ``langgraph-sdk`` asks for.

Names and shapes are those that a LangGraph server sends. What a part says follows from the events of the log alone, so
that whoever resumes a stream gets what an uninterrupted reader gets.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from uuid import UUID

from functions.api.wire_state import NODE, langchain_calls
from shared.domain import AgentRun, Json

StreamMode = Literal["values", "updates", "messages", "messages-tuple", "custom", "events", "tools", "lifecycle"]
STREAM_MODES: frozenset[str] = frozenset(get_args(StreamMode))
"""``lifecycle`` tells of subgraphs in LangGraph, of which there are none here."""

_TERMINAL = {"completed", "failed", "interrupted"}


@dataclass(frozen=True)
class Part:
    """One event of the stream."""

    event: str
    data: Any


@dataclass(frozen=True)
class StateAt:
    """A state of the thread, to be read from the database: as the run was begun with it, up to a message of the run, or
    at the run's end.
    """

    at: Literal["input", "message", "end"]
    message_id: UUID | None = None


@dataclass(frozen=True)
class RunMessages:
    """Every message that the run has made so far, whole, from the database."""


type Wanted = Part | StateAt | RunMessages


@dataclass
class OpenMessage:
    """The assistant's message that is being streamed. ``broken``: some of its deltas are lost."""

    message_id: str
    metadata: Json
    text: str = ""
    reasoning: str = ""
    tool_calls: list[Json] = field(default_factory=list[Json])
    invalid_tool_calls: list[Json] = field(default_factory=list[Json])
    broken: bool = False

    def whole(self, usage: Json | None = None) -> Json:
        """The message so far."""
        return ai_message(
            self.message_id,
            self.text,
            additional_kwargs={"reasoning_content": self.reasoning} if self.reasoning else {},
            tool_calls=list(self.tool_calls),
            invalid_tool_calls=list(self.invalid_tool_calls),
            usage_metadata=usage,
        )

    def chunk(self, text: str = "", **more: Any) -> Json:
        """A piece of the message."""
        return ai_message(self.message_id, text, **{"type": "AIMessageChunk", "tool_call_chunks": [], **more})


def ai_message(message_id: str, content: str, **more: Any) -> Json:
    """An assistant's message as LangChain writes it."""
    empty: Json = {
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "ai",
        "name": None,
        "id": message_id,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": None,
    }
    return {"content": content, **empty, **more}


class StreamModes:
    """Maps the events of one run, fed in order. ``ended`` once its terminal event was fed."""

    def __init__(self, run: AgentRun, modes: frozenset[str]) -> None:
        self._run = run
        self._modes = modes
        self._open: OpenMessage | None = None
        self.ended = False

    @property
    def needs_open_message(self) -> bool:
        """Whether what an event says depends on the events before it in the same message."""
        return bool(self._modes & {"messages", "messages-tuple", "values", "updates", "events"})

    def begin(self) -> list[Wanted]:
        """What every stream begins with."""
        state: list[Wanted] = [StateAt("input")] if "values" in self._modes else []
        return [self.metadata(), *state]

    def metadata(self) -> Part:
        """Which run this is; also what a slice that has nothing else to say ends with."""
        return Part("metadata", {"run_id": str(self._run.agent_run_id), "attempt": 1})

    def end(self, error: Json | None) -> list[Wanted]:
        """The run's end: its state, what went wrong, and the last event."""
        self.ended = True
        parts: list[Wanted] = [StateAt("end")] if "values" in self._modes else []
        parts += self._event("on_chain_end", NODE, {})
        if error is not None:
            parts.append(Part("error", error))
        return [*parts, Part("end", None)]

    def lost(self) -> list[Wanted]:
        """Events are missing: what the database has in their place."""
        if self._open is not None:
            self._open.broken = True
        return [RunMessages(), *([StateAt("end")] if "values" in self._modes else [])]

    def messages(self, found: Sequence[Json]) -> list[Wanted]:
        """Whole messages that are not told event by event."""
        parts: list[Wanted] = []
        if "messages" in self._modes and found:
            parts.append(Part("messages/complete", list(found)))
        if "messages-tuple" in self._modes:
            parts += [Part("messages", [message, self._message_metadata({})]) for message in found]
        if "updates" in self._modes and found:
            parts.append(Part("updates", {NODE: {"messages": list(found)}}))
        return parts

    def feed(self, frame: Json) -> list[Wanted]:
        """What an event of the log is in these modes; events of other runs are nothing."""
        params: Json = frame["params"]
        data: Json = params["data"]
        if "run_id" not in params:
            return self._of_thread(frame["method"], data)
        if params["run_id"] != str(self._run.agent_run_id):
            return []
        handlers = {
            "messages": self._message_event,
            "tools": self._tool_event,
            "input.requested": self._input_event,
            "lifecycle": self._lifecycle_event,
            "custom": self._custom_event,
        }
        handler = handlers.get(frame["method"])
        return [] if handler is None else handler(data)

    def _input_event(self, data: Json) -> list[Wanted]:
        # LangGraph tells of it among the updates, and of none of those otherwise: then it is a value.
        event = "updates" if "updates" in self._modes else "values"
        return [Part(event, {"__interrupt__": [{"id": data["interrupt_id"], "value": data["payload"]}]})]

    def _lifecycle_event(self, data: Json) -> list[Wanted]:
        if data["event"] in _TERMINAL:
            return self.end(_error(data.get("error", "")) if data["event"] == "failed" else None)
        return self._event("on_chain_start", NODE, {}) if data["event"] == "running" else []

    def _custom_event(self, data: Json) -> list[Wanted]:
        parts: list[Wanted] = [Part("custom", data)] if "custom" in self._modes else []
        return [*parts, *self._event("on_custom_event", data["name"], data["payload"])]

    def _of_thread(self, method: str, data: Json) -> list[Wanted]:
        """A gap in the log, and the snapshot behind it."""
        if method == "custom" and data["name"] == "gap":
            if self._open is not None:
                self._open.broken = True
            return [Part("custom", data)] if "custom" in self._modes else []
        if method != "values":
            return []
        state: list[Wanted] = []
        if "values" in self._modes:
            told = [langchain_calls(message) for message in data.get("messages") or ()]
            state = [StateAt("end")] if data.get("truncated") else [Part("values", {**data, "messages": told})]
        return [RunMessages(), *state]

    def _message_event(self, data: Json) -> list[Wanted]:
        match data["event"]:
            case "message-start":
                return self._message_start(data)
            case "content-block-delta":
                return self._delta(data["delta"])
            case "content-block-finish":
                return self._block_finish(data["index"], data["content"])
            case "message-finish":
                return self._message_finish(data.get("usage"))
            case "error":
                return self._message_error()
            case _:
                return []

    def _message_start(self, data: Json) -> list[Wanted]:
        self._open = opened = OpenMessage(data["id"], self._message_metadata(data.get("metadata", {})))
        parts: list[Wanted] = []
        if "messages" in self._modes:
            parts.append(Part("messages/metadata", {opened.message_id: {"metadata": opened.metadata}}))
        return [*parts, *self._event("on_chat_model_start", opened.metadata.get("ls_model_name", NODE), {})]

    def _delta(self, delta: Json) -> list[Wanted]:
        opened = self._open
        if opened is None:
            return []
        if delta["type"] == "reasoning-delta":
            opened.reasoning += delta["reasoning"]
            return self._grown(opened.chunk(additional_kwargs={"reasoning_content": delta["reasoning"]}))
        opened.text += delta.get("text", "")
        return self._grown(opened.chunk(delta.get("text", "")))

    def _block_finish(self, index: int, content: Json) -> list[Wanted]:
        opened = self._open
        if opened is None or content["type"] not in {"tool_call", "invalid_tool_call"}:
            return []
        call: Json = {key: content.get(key) for key in ("name", "args", "id")} | {"type": content["type"]}
        if content["type"] == "tool_call":
            opened.tool_calls.append(call)
        else:
            call["error"] = content.get("error")
            opened.invalid_tool_calls.append(call)
        arguments = call["args"] if isinstance(call["args"], str) else json.dumps(call["args"])
        chunk: Json = {**call, "args": arguments, "index": index, "type": "tool_call_chunk"}
        chunk.pop("error", None)
        more: Json = {"tool_calls" if content["type"] == "tool_call" else "invalid_tool_calls": [call]}
        return self._grown(opened.chunk("", tool_call_chunks=[chunk], **more))

    def _grown(self, chunk: Json) -> list[Wanted]:
        """The open message has grown by ``chunk``."""
        opened = self._open
        if opened is None or opened.broken:
            return []
        parts: list[Wanted] = []
        if "messages" in self._modes:
            parts.append(Part("messages/partial", [opened.whole()]))
        if "messages-tuple" in self._modes:
            parts.append(Part("messages", [chunk, opened.metadata]))
        return [*parts, *self._event("on_chat_model_stream", self._model_name(), {"chunk": chunk})]

    def _message_finish(self, usage: Json | None) -> list[Wanted]:
        opened, self._open = self._open, None
        if opened is None or opened.broken:
            return self.lost()
        whole = opened.whole(usage)
        parts: list[Wanted] = []
        if "messages" in self._modes:
            parts.append(Part("messages/complete", [whole]))
        if "messages-tuple" in self._modes and usage is not None:
            parts.append(Part("messages", [opened.chunk(usage_metadata=usage), opened.metadata]))
        if "updates" in self._modes:
            parts.append(Part("updates", {NODE: {"messages": [whole]}}))
        if "values" in self._modes:
            parts.append(StateAt("message", UUID(opened.message_id)))
        name = opened.metadata.get("ls_model_name", NODE)
        return [*parts, *self._event("on_chat_model_end", name, {"output": whole})]

    def _message_error(self) -> list[Wanted]:
        """The open message is abandoned: it is not part of the thread, the next try has another id."""
        opened, self._open = self._open, None
        if opened is None:
            return []
        removed: Json = {"type": "remove", "content": "", "id": opened.message_id}
        parts: list[Wanted] = []
        if "messages" in self._modes:
            parts.append(Part("messages/complete", [removed]))
        if "messages-tuple" in self._modes:
            parts.append(Part("messages", [removed, opened.metadata]))
        return parts

    def _tool_event(self, data: Json) -> list[Wanted]:
        call_id: str = data["tool_call_id"]
        match data["event"]:
            case "tool-started":
                given: Json = {"name": data["tool_name"], "input": data["input"]}
                return [
                    *self._tool("on_tool_start", call_id, given),
                    *self._event("on_tool_start", data["tool_name"], {"input": data["input"]}),
                ]
            case "tool-finished":
                output: Any = data["output"]
                return [
                    *self._tool("on_tool_end", call_id, {"output": output}),
                    *self._result(call_id, output, "success"),
                    *self._event("on_tool_end", call_id, {"output": output}),
                ]
            case "tool-error":
                return [
                    *self._tool("on_tool_error", call_id, {"error": data["message"]}),
                    *self._result(call_id, data["message"], "error"),
                    *self._event("on_tool_error", call_id, {"error": data["message"]}),
                ]
            case _:
                return []

    def _tool(self, event: str, call_id: str, more: Json) -> list[Wanted]:
        return [Part("tools", {"event": event, "tool_call_id": call_id, **more})] if "tools" in self._modes else []

    def _result(self, call_id: str, output: Any, status: str) -> list[Wanted]:
        # Without an id: the event does not know the one that the message has among the thread's.
        text = output if isinstance(output, str) else json.dumps(output)
        message: Json = {"type": "tool", "content": text, "tool_call_id": call_id, "status": status, "id": None}
        parts: list[Wanted] = []
        if "messages" in self._modes:
            parts.append(Part("messages/complete", [message]))
        if "messages-tuple" in self._modes:
            parts.append(Part("messages", [message, self._message_metadata({})]))
        if "updates" in self._modes:
            parts.append(Part("updates", {"tools": {"messages": [message]}}))
        return parts

    def _event(self, event: str, name: str, data: Any) -> list[Wanted]:
        if "events" not in self._modes:
            return []
        body: Json = {
            "event": event,
            "name": name,
            "run_id": str(self._run.agent_run_id),
            "data": data,
            "tags": [],
            "metadata": self._message_metadata({}),
            "parent_ids": [],
        }
        return [Part("events", body)]

    def _model_name(self) -> str:
        return NODE if self._open is None else self._open.metadata.get("ls_model_name", NODE)

    def _message_metadata(self, told: Json) -> Json:
        metadata: Json = {
            "run_id": str(self._run.agent_run_id),
            "thread_id": str(self._run.thread_id),
            "assistant_id": self._run.assistant_id,
            "langgraph_node": NODE,
        }
        if "model" in told:
            metadata["ls_model_name"] = told["model"]
        return metadata


def is_head(frame: Json) -> bool:
    """Whether an event may be the first one of its run."""
    data: Json = frame["params"]["data"]
    match frame["method"]:
        case "lifecycle":
            return True
        case "custom":
            return data["name"] in {"run_queued", "run_taken_over"}
        case _:
            return False


def _error(text: str) -> Json:
    """The event's ``code: message`` as an ``error`` of the stream."""
    code, _, message = text.partition(": ")
    return {"error": code, "message": message or code}
