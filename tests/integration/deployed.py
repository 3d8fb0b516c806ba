"""The functions as they are deployed: each in a process of its own, with one database and one set of queues."""

import base64
import copy
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from tests.integration.databases import Database
from tests.integration.function_process import FunctionProcess
from tests.integration.queues import Queues

EVENTS = Path(__file__).parents[1] / "fixtures/events"
DESCRIPTION = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text(encoding="utf-8"))
HS256_SECRET = "0123456789abcdef0123456789abcdef"
ISSUER = "https://issuer.test"
AUDIENCE = "suna"


def aws_event(name: str) -> dict[str, Any]:
    """A copy of an event as AWS documents it."""
    return json.loads((EVENTS / f"{name}.json").read_text())


def token(account_id: str, **claims: Any) -> str:
    """A token of the account."""
    return jwt.encode(
        {"sub": account_id, "exp": time.time() + 600, "iss": ISSUER, "aud": AUDIENCE, **claims}, HS256_SECRET, "HS256"
    )


def _check_described(method: str, path: str, status: int) -> None:
    """Fail if the API's description does not know this answer of a route that it has."""
    described = [
        operations[method.lower()]["responses"]
        for template, operations in DESCRIPTION["paths"].items()
        if method.lower() in operations and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path)
    ]
    assert not described or any(str(status) in answers for answers in described), (method, path, status)


@dataclass(frozen=True)
class Deployed:
    """What the functions share, and the environment that tells them."""

    database: Database
    queues: Queues
    environment: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: Any


class HttpApi:
    """The HTTP function behind API Gateway's events."""

    def __init__(self, function: FunctionProcess) -> None:
        self.function = function
        self._template = aws_event("http_api_request")

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        account_id: str | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        binary: bool = False,
    ) -> Answer:
        """One request; ``body``: text as it is, anything else as JSON."""
        event = copy.deepcopy(self._template)
        text = body if isinstance(body, str) else None if body is None else json.dumps(body)
        event["rawPath"], event["rawQueryString"] = path, query
        event["requestContext"]["http"].update(method=method, path=path)
        event["requestContext"]["stage"] = "$default"
        event.pop("cookies")
        event.pop("body")
        event["headers"] = {"host": "api.test", "content-type": "application/json", **(headers or {})}
        if account_id is not None:
            event["headers"]["authorization"] = f"Bearer {token(account_id)}"
        if text is not None:
            event["body"] = base64.b64encode(text.encode()).decode() if binary else text
            event["isBase64Encoded"] = binary
        answer = self.function.invoke(event)
        raw = answer.get("body") or ""
        _check_described(method, path, answer["statusCode"])
        is_json = answer["headers"].get("content-type") == "application/json"
        return Answer(answer["statusCode"], answer["headers"], json.loads(raw) if raw and is_json else raw or None)

    @property
    def request_id(self) -> str:
        """API Gateway's id of every request here."""
        return self._template["requestContext"]["requestId"]


class WebSocketApi:
    """The WebSocket function behind API Gateway's events, for one connection."""

    def __init__(self, function: FunctionProcess, connection_id: str) -> None:
        self._function = function
        self.connection_id = connection_id

    def connect(self, *, headers: dict[str, str], query: dict[str, str] | None) -> Any:
        """``$connect``."""
        event = aws_event("websocket_connect")
        event["headers"] |= headers
        event["queryStringParameters"] = query
        if query is None:
            event.pop("queryStringParameters")
        return self._invoke(event)

    def send(self, body: object) -> Any:
        """One message; the frame that goes back."""
        event = aws_event("websocket_message")
        event["body"] = body if isinstance(body, str) else json.dumps(body)
        answer = self._invoke(event)
        assert answer["statusCode"] == 200
        return json.loads(answer["body"])

    def disconnect(self) -> Any:
        """``$disconnect``."""
        return self._invoke(aws_event("websocket_disconnect"))

    def _invoke(self, event: dict[str, Any]) -> Any:
        event["requestContext"]["connectionId"] = self.connection_id
        return self._function.invoke(event)
