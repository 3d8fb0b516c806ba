"""The WebSocket API as AsyncAPI 3, made of the types that commands are checked with and events are tested against."""

import warnings
from typing import Any, NotRequired

from langchain_protocol import protocol
from pydantic import TypeAdapter

from functions.api.command_types import COMMANDS
from functions.api.errors import COMMAND_ERRORS
from functions.api.version import VERSION
from shared.events import CHANNELS, CUSTOM, RunUsage

type Json = dict[str, Any]


class LifecycleData(protocol.LifecycleData):
    """The protocol's, and what a run has used at its end."""

    usage: NotRequired[RunUsage]


# Wire method, and the types of its data: each has its name in ``event``, if there are several.
EVENTS: dict[str, tuple[Any, ...]] = {
    "lifecycle": (LifecycleData,),
    "messages": (
        protocol.MessageStartData,
        protocol.ContentBlockStartData,
        protocol.ContentBlockDeltaData,
        protocol.ContentBlockFinishData,
        protocol.MessageFinishData,
        protocol.MessageErrorData,
    ),
    "tools": (protocol.ToolStartedData, protocol.ToolFinishedData, protocol.ToolErrorData),
    "input.requested": (protocol.InputRequestedData,),
    "values": (dict[str, Any],),
    "custom": (protocol.CustomData,),
}
_MEANING = {
    "lifecycle": "A turn in a run's life; completed, failed and interrupted end it",
    "messages": "An assistant's message, as it is said",
    "tools": "A tool's call, from its start to its result",
    "input.requested": "Somebody has to answer; the run ends, and input.respond starts the next one",
    "values": "The thread's newest messages, after a gap; or, where they are too many, where to read them",
    "custom": "What the protocol has no word for: "
    + "; ".join(f"{name}: {meaning}" for name, meaning in sorted(CUSTOM.items())),
}
_CHANNEL = "#/channels/thread"
_REF = "#/components/schemas/{model}"


def described() -> Json:
    """The document."""
    schemas, definitions = _schemas()
    messages = {f"command.{name}": _command(name, schemas) for name in COMMANDS}
    messages |= {f"answer.{name}": _answer(name, schemas) for name in COMMANDS}
    messages |= {f"event.{method}": _event(method, schemas) for method in EVENTS}
    messages |= {"error": _ERROR, "gateway": _GATEWAY}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Suna Serverless", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {
            "thread": {
                "address": "/threads/{thread_id}/stream/events",
                "description": "A thread's WebSocket. It need not exist yet: the first run.start makes it.",
                "parameters": {"thread_id": {"description": "The thread's UUID; clients may choose it."}},
                "bindings": {"ws": {"method": "GET", "query": _QUERY, "headers": _HEADERS}},
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": _operations(),
        "components": {
            "messages": messages,
            "schemas": {
                **definitions,
                "ErrorCode": {"type": "string", "enum": sorted(COMMAND_ERRORS)},
                "Channel": {
                    "anyOf": [
                        {"type": "string", "enum": sorted(CHANNELS)},
                        {"type": "string", "pattern": "^custom:.+", "description": "Custom events of one name"},
                    ]
                },
            },
        },
    }


_ABOUT = (
    "The Agent Streaming Protocol over API Gateway's WebSocket: a message is one JSON object of at most 128 KB, in"
    " frames of at most 32 KB. A connection lives for two hours, and for ten minutes without a message: ping."
)
_QUERY = {
    "type": "object",
    "properties": {"ticket": {"type": "string", "description": "Of POST /ws-tickets, where headers cannot be set"}},
}
_HEADERS = {
    "type": "object",
    "properties": {"authorization": {"type": "string"}, "x-api-key": {"type": "string"}},
}
_ERROR = {
    "name": "error",
    "summary": "What is wrong with a command; id is null where the command's cannot be read",
    "payload": {
        "type": "object",
        "required": ["type", "id", "error", "message"],
        "properties": {
            "type": {"const": "error"},
            "id": {"type": ["integer", "null"]},
            "error": {"$ref": "#/components/schemas/ErrorCode"},
            "message": {"type": "string"},
        },
        "additionalProperties": False,
    },
}
_GATEWAY = {
    "name": "gateway",
    "summary": "API Gateway's own answer where the function failed or was late: send the command again",
    "payload": {
        "type": "object",
        "required": ["message", "connectionId", "requestId"],
        "properties": {name: {"type": "string"} for name in ("message", "connectionId", "requestId")},
        "additionalProperties": False,
    },
}


def _schemas() -> tuple[dict[str, Json], dict[str, Json]]:
    """Each type's schema, by what it is of, and the definitions that they refer to."""
    kinds = {f"params {name}": command.params for name, command in COMMANDS.items()}
    kinds |= {f"result {name}": command.result for name, command in COMMANDS.items()}
    kinds |= {f"data {method} {place}": kind for method, data in EVENTS.items() for place, kind in enumerate(data)}
    with warnings.catch_warnings():
        # Some of the protocol's types are open: their schemas say so.
        warnings.simplefilter("ignore")
        adapters = [(name, "validation", TypeAdapter(kind)) for name, kind in kinds.items()]
        found, shared = TypeAdapter.json_schemas(adapters, ref_template=_REF)  # pyright: ignore[reportArgumentType]
    return {name: schema for (name, _), schema in found.items()}, shared.get("$defs", {})


def _command(name: str, schemas: dict[str, Json]) -> Json:
    properties: Json = {
        "id": {"type": "integer", "minimum": 0},
        "method": {"const": name},
        "params": schemas[f"params {name}"],
    }
    payload = {"type": "object", "required": ["id", "method"], "properties": properties}
    return {"name": name, "summary": COMMANDS[name].summary, "payload": payload}


def _answer(name: str, schemas: dict[str, Json]) -> Json:
    properties: Json = {
        "type": {"const": "success"},
        "id": {"type": "integer", "minimum": 0},
        "result": schemas[f"result {name}"],
    }
    payload = {
        "type": "object",
        "required": ["type", "id", "result"],
        "properties": properties,
        "additionalProperties": False,
    }
    return {"name": f"{name} answered", "payload": payload}


def _event(method: str, schemas: dict[str, Json]) -> Json:
    data = [schemas[f"data {method} {place}"] for place in range(len(EVENTS[method]))]
    params: Json = {
        "type": "object",
        "required": ["namespace", "timestamp", "data"],
        "properties": {
            "namespace": {"type": "array", "items": {"type": "string"}},
            "timestamp": {"type": "integer", "description": "Epoch, ms"},
            "run_id": {"type": "string", "format": "uuid", "description": "Missing where it tells of the thread"},
            "data": data[0] if len(data) == 1 else {"oneOf": data},
        },
        "additionalProperties": False,
    }
    properties: Json = {
        "type": {"const": "event"},
        "event_id": {
            "type": "string",
            "description": "<of the thread's log>:<seq>, for since; a thread that is made again has another log",
        },
        "seq": {"type": "integer", "minimum": 1, "description": "The number in the thread, for since; some have none"},
        "prev_seq": {"type": "integer", "minimum": 0, "description": "The last number considered before this event"},
        "method": {"const": method},
        "params": params,
    }
    payload = {
        "type": "object",
        "required": ["type", "event_id", "method", "params"],
        "properties": properties,
        "additionalProperties": False,
    }
    return {"name": method, "summary": _MEANING[method], "payload": payload}


def _operations() -> Json:
    def of_channel(message: str) -> Json:
        return {"$ref": f"{_CHANNEL}/messages/{message}"}

    channel = {"$ref": _CHANNEL}
    operations: Json = {
        name: {
            "action": "receive",
            "channel": channel,
            "summary": command.summary,
            "description": f"Needs the scope {command.scope}.",
            "messages": [of_channel(f"command.{name}")],
            "reply": {
                "channel": channel,
                "messages": [of_channel(f"answer.{name}"), of_channel("error"), of_channel("gateway")],
            },
        }
        for name, command in COMMANDS.items()
    }
    events = [of_channel(f"event.{method}") for method in EVENTS]
    operations["events"] = {
        "action": "send",
        "channel": channel,
        "summary": "The thread's events, in the order of their numbers",
        "messages": events,
    }
    return operations
