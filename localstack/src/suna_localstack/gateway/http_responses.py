"""A function's answer turned into the HTTP response, by the rules of payload format 2.0."""

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any

from suna_localstack.json_types import Json, is_array, is_object

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_DROPPED = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "upgrade"})


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers in order (lower-case names, `set-cookie` may repeat) and body."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytes = b""


class MalformedAnswerError(Exception):
    """The function's answer is not one that API Gateway accepts."""


def error_response(status: int, message: str) -> HttpResponse:
    """Return an error of the gateway's own, `{"message": ...}`."""
    return HttpResponse(status, [("content-type", "application/json")], json.dumps({"message": message}).encode())


def interpret_answer(payload: bytes) -> HttpResponse:
    """Interpret a function's answer.

    With `statusCode` it is a full response; without it any JSON is the body of a 200 (a string is sent as it is).

    Raises
    ------
    MalformedAnswerError
        The answer is not JSON, or its status, headers, cookies or body have the wrong type.
    """
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError("the answer is not JSON") from error
    if not is_object(answer) or "statusCode" not in answer:
        body = answer.encode() if isinstance(answer, str) else payload
        return HttpResponse(200, [("content-type", "application/json")], body)
    headers = _headers(answer)
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    return HttpResponse(parse_status(answer["statusCode"]), headers, _body(answer))


def parse_status(value: Any) -> int:
    """Return a status code given as a number or a numeric string; MalformedAnswerError for anything else."""
    try:
        status = int(value)
    except (TypeError, ValueError) as error:
        raise MalformedAnswerError(f"statusCode {value!r} is not a number") from error
    if isinstance(value, bool | float) or not 200 <= status <= 599:
        raise MalformedAnswerError(f"statusCode {value!r} is not an HTTP status")
    return status


def _headers(answer: Json) -> list[tuple[str, str]]:
    headers: object = answer.get("headers") or {}
    cookies: object = answer.get("cookies") or []
    if not is_object(headers) or not is_array(cookies):
        raise MalformedAnswerError("headers must be an object and cookies a list")
    pairs = [
        *((name.lower(), _header_value(value)) for name, value in headers.items() if value is not None),
        *(("set-cookie", _header_value(cookie)) for cookie in cookies),
    ]
    if not all(_TOKEN.fullmatch(name) for name, _ in pairs):
        raise MalformedAnswerError("a header's name holds characters that names may not hold")
    return [(name, value) for name, value in pairs if name not in _DROPPED]


def _header_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise MalformedAnswerError(f"header value {value!r} is not a string")
    text = str(value)
    if "\r" in text or "\n" in text:
        raise MalformedAnswerError("a header value holds a line break")
    return text


def _body(answer: Json) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedAnswerError("body must be a string")
    if not answer.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedAnswerError("body is not base64") from error
