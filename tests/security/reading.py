"""What the API reads of a request by itself, past what FastAPI knows: found in its source.

What is read there is in no table of fields: of each somebody has said where it is tried.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Where requests come in.
ENTRIES = ("functions/api/http", "functions/api/websocket", "functions/api/request_log.py")
_REQUESTS = {"Request", "HTTPConnection", "WebSocket"}
# What requests are called that are mappings: Lambda's events, ASGI's scopes, and parts of them.
_MAPPINGS = {"event", "scope", "query", "headers"}
# What is read, and where it is tried, or why it names nothing.
READ = {
    "functions/api/http/app.py _http_exception": ("method url", "said in a message: there is no such route"),
    "functions/api/http/commands.py send_command": ("body", "a command: the fields of its params are in the table"),
    "functions/api/http/idempotency.py _canonical": (
        "body form headers",
        "its hash, beside the key, which is crossed",
    ),
    "functions/api/http/idempotency.py _idempotency": ("_canonical() method url", "the route that a key is for"),
    "functions/api/http/identity.py authenticates": ("method scope state", "the route, for the scope that it takes"),
    "functions/api/http/main.py _is_readable": ("body headers host isBase64Encoded", "whether they are UTF-8"),
    "functions/api/http/middleware.py __call__": ("method query_string type", "what the log says of it"),
    "functions/api/http/middleware.py _check": ("headers", "whether the body is a form"),
    "functions/api/http/middleware.py _event": ("aws.event", "what the log says of it"),
    "functions/api/request_log.py path_of": ("path_params route", "what the log says of it"),
    "functions/api/request_log.py request_fields": (
        "headers http identity requestContext sourceIp",
        "what the log says of it",
    ),
    "functions/api/websocket/main.py _connect": (
        "authorization headers queryStringParameters retry-after ticket x-api-key",
        "who asks: credentials have a table of their own; the answer's header",
    ),
    "functions/api/websocket/main.py _thread_id": ("thread_id", "readers and states are crossed with another's thread"),
    "functions/api/websocket/main.py answer": (
        "body connectionId multiValueQueryStringParameters requestContext requestId routeKey",
        "what the gateway says; a command; what the log says of it",
    ),
}
type Function = ast.FunctionDef | ast.AsyncFunctionDef


def read_here() -> Iterator[str]:
    """What the API's functions read by themselves: file, function, and what."""
    for entry in ENTRIES:
        for file in sorted((ROOT / entry).rglob("*.py")) if (ROOT / entry).is_dir() else [ROOT / entry]:
            yield from read_in(file.read_text(encoding="utf-8"), str(file.relative_to(ROOT)))


def read_in(source: str, file: str) -> Iterator[str]:
    """The same of one file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (f"{file} {node.name} {what}" for what in sorted({*_of_requests(node), *_of_mappings(node)}))


def _arguments(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _of_requests(function: Function) -> Iterator[str]:
    """Attributes of what is a request by its type, and whom it is handed to."""
    known = {one.arg for one in _arguments(function) if one.annotation and _REQUESTS & _names(one.annotation)}
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=what) if name in known:
                yield what
            case ast.Call(func=called, args=given) if known & {one.id for one in given if isinstance(one, ast.Name)}:
                yield f"{ast.unparse(called)}()"


def _of_mappings(function: Function) -> Iterator[str]:
    """Keys of what is a request by its name, or was made from one."""
    known = {one.arg for one in _arguments(function)} & _MAPPINGS
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if known & _names(value):
                known.add(name)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if known & _names(value):
                known.add(name)
    for node in ast.walk(function):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name in known:
                yield key
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[ast.Constant(value=key), *_]):
                if name in known:
                    yield str(key)


def _names(of: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(of) if isinstance(node, ast.Name)}
