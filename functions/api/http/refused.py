"""What ``langgraph-sdk`` can ask for and nobody answers here: each with the reason, and what there is instead."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from functions.api.http.identity import Caller
from shared.domain import Json
from shared.errors import NotSupportedError

router = APIRouter(tags=["not supported"])

_STATELESS = "runs without a thread are not supported: create a thread (or use if_not_exists='create') and run on it"
_BATCH = "batches of runs are not supported: start each run with POST /threads/{thread_id}/runs"
_CRONS = "crons are not supported: have a scheduler of yours start runs, with an Idempotency-Key"
_STORE = "there is no store: keep what belongs to a thread in its metadata"
_GRAPH = "an assistant is an agent's configuration, not a graph: it has no graph, schemas or subgraphs"
_SSE = 'events of a thread come over the WebSocket at this path: use threads.stream(..., transport="websocket")'

REFUSED: list[tuple[str, str, str, str]] = [
    (
        "POST",
        "/threads/{thread_id}/copy",
        "copy_thread",
        "threads cannot be copied: create one, and append messages to its state",
    ),
    ("POST", "/threads/prune", "prune_threads", "threads cannot be pruned: delete them one by one"),
    ("GET", "/threads/{thread_id}/stream", "join_thread_stream", _SSE),
    ("POST", "/threads/{thread_id}/stream", "open_thread_stream", _SSE),
    ("GET", "/threads/{thread_id}/stream/events", "join_thread_events", _SSE),
    ("POST", "/threads/{thread_id}/stream/events", "open_thread_events", _SSE),
    ("POST", "/runs", "create_stateless_run", _STATELESS),
    ("POST", "/runs/stream", "stream_stateless_run", _STATELESS),
    ("POST", "/runs/wait", "wait_for_stateless_run", _STATELESS),
    ("POST", "/runs/search", "search_stateless_runs", _STATELESS),
    ("POST", "/runs/batch", "create_runs", _BATCH),
    ("POST", "/runs/crons", "create_stateless_cron", _CRONS),
    ("POST", "/threads/{thread_id}/runs/crons", "create_cron", _CRONS),
    ("POST", "/runs/crons/search", "search_crons", _CRONS),
    ("POST", "/runs/crons/count", "count_crons", _CRONS),
    ("PATCH", "/runs/crons/{cron_id}", "update_cron", _CRONS),
    ("DELETE", "/runs/crons/{cron_id}", "delete_cron", _CRONS),
    ("PUT", "/store/items", "put_item", _STORE),
    ("GET", "/store/items", "get_item", _STORE),
    ("DELETE", "/store/items", "delete_item", _STORE),
    ("POST", "/store/items/search", "search_items", _STORE),
    ("POST", "/store/namespaces", "list_namespaces", _STORE),
    ("GET", "/assistants/{assistant_id}/graph", "get_assistant_graph", _GRAPH),
    ("GET", "/assistants/{assistant_id}/schemas", "get_assistant_schemas", _GRAPH),
    ("GET", "/assistants/{assistant_id}/subgraphs", "list_assistant_subgraphs", _GRAPH),
    ("GET", "/assistants/{assistant_id}/subgraphs/{namespace}", "get_assistant_subgraph", _GRAPH),
]


def _refusal(reason: str) -> Callable[..., Awaitable[None]]:
    async def refuse(_caller: Caller) -> None:
        raise NotSupportedError(reason)

    return refuse


def _parameters(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


for _method, _path, _name, _reason in REFUSED:
    _extra: dict[str, Any] = {"parameters": _parameters(_path)}
    router.add_api_route(
        _path,
        _refusal(_reason),
        methods=[_method],
        status_code=501,
        name=_name,
        summary="Not supported",
        description=f"Answers 501: {_reason}.",
        response_class=JSONResponse,
        openapi_extra=_extra,
    )
