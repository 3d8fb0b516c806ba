"""Which errors each route answers, for the API's description. Every one has the form of :class:`ErrorBody`."""

from functions.api.wire import ErrorBody
from shared.domain import Json

_MEANING = {
    400: "The request cannot be read: its body is not what its type says, or something of it is not UTF-8",
    401: "The token or API key is missing or not valid",
    403: "The API key does not allow this",
    404: "There is no such thing, or it is not yours",
    409: "The request does not fit what is there",
    413: "The body is larger than 4 MB",
    422: "The request is not valid, or the answer would be larger than a function may give",
    429: "The account asks too often, or has as many unfinished runs or waiting requests as its plan allows",
    500: "Something went wrong on our side",
    501: "This is not supported; the message says what there is instead",
    503: "Something that this needs cannot be reached; try again after Retry-After",
    504: "The run has not ended yet; it goes on",
}
# Whatever is asked for, with whatever method: bytes that cannot be read, a body that is too large or has too many
# values are refused before the route is looked for, and anything may fail.
_EVERY = {400, 413, 422, 500}
# Of whoever asks who it is.
_ASKED = {401, 403, 429, 503}
_START = {409, 501}
# Beside those, and 404 where the path names something.
_MORE: dict[tuple[str, str], set[int]] = {
    ("POST", "/api/agent/initiate"): {404, *_START},
    ("POST", "/api/thread/{thread_id}/agent/start"): _START,
    ("GET", "/api/agent-run/{agent_run_id}/stream"): {501},
    ("POST", "/assistants"): {404, 409, 501},
    ("DELETE", "/assistants/{assistant_id}"): {409},
    ("PATCH", "/assistants/{assistant_id}"): {409, 501},
    ("POST", "/threads"): {409, 501},
    ("POST", "/threads/search"): {501},
    ("POST", "/threads/count"): {501},
    ("PATCH", "/threads/{thread_id}"): {501},
    ("DELETE", "/threads/{thread_id}"): {409},
    ("POST", "/threads/{thread_id}/messages"): {409},
    ("POST", "/threads/{thread_id}/state"): {409},
    ("POST", "/threads/{thread_id}/files"): {409},
    ("POST", "/api-keys"): {409},
    ("POST", "/threads/{thread_id}/runs"): _START,
    ("POST", "/threads/{thread_id}/runs/stream"): _START,
    ("POST", "/threads/{thread_id}/runs/wait"): {*_START, 504},
    ("DELETE", "/threads/{thread_id}/runs/{run_id}"): {409},
    ("GET", "/threads/{thread_id}/runs/{run_id}/join"): {504},
    ("GET", "/threads/{thread_id}/runs/{run_id}/stream"): {501},
    ("GET", "/resume/threads/{thread_id}/runs/{run_id}/stream"): {501},
}
# It touches nothing and needs no token.
_OPEN = {"/ok"}
_REFUSED = "not supported"


def describe_errors(schema: Json) -> Json:
    """The description ``schema``, with every route's errors in it, in place."""
    schemas: Json = schema["components"]["schemas"]
    schemas[ErrorBody.__name__] = ErrorBody.model_json_schema()
    # FastAPI's own answer to what is not valid: nobody gets it, and no route may refer to it.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            responses: Json = operation["responses"]
            responses.pop("422", None)
            for status in sorted(_statuses(method.upper(), path, operation)):
                responses[str(status)] = {
                    "description": _MEANING[status],
                    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}}},
                }
    return schema


def _statuses(method: str, path: str, operation: Json) -> set[int]:
    if path in _OPEN:
        return _EVERY
    if _REFUSED in operation["tags"]:
        return {*_EVERY, *_ASKED, 501}
    named = {404} if "{" in path else set[int]()
    return {*_EVERY, *_ASKED, *named, *_MORE.get((method, path), ())}
