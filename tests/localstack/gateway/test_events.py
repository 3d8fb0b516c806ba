"""Events are exactly those that AWS documents (events/*.json)."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from suna_localstack.gateway.apis import Api, Stage
from suna_localstack.gateway.http_events import build_http_event, encode_body
from suna_localstack.gateway.identifiers import is_connection_id, new_id
from suna_localstack.gateway.matching import RouteMatch
from suna_localstack.gateway.requests import GatewayRequest
from suna_localstack.gateway.websocket_events import (
    ConnectionContext,
    build_connect_event,
    build_disconnect_event,
    build_message_event,
)

EVENTS = Path(__file__).parent / "events"
API = Api("aaaaaaaaaa", "HTTP", "us-west-2", "123456789012", None, "", None, {})
MOMENT_MS = 1587481701067


def expected(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def stage(name: str, **variables: str) -> Stage:
    return Stage(name, variables, {}, None, None)


def request(headers: list[tuple[str, str]], **fields: Any) -> GatewayRequest:
    defaults = {"method": "GET", "path": "/", "raw_query": "", "protocol": "HTTP/1.1", "source_ip": "203.0.113.7"}
    return GatewayRequest(**{**defaults, **fields}, headers=tuple(headers), port=443, epoch_ms=MOMENT_MS)


def test_http_event_with_everything() -> None:
    headers = [
        ("Host", API.domain_name),
        ("User-Agent", "agent"),
        ("Accept", "*/*"),
        ("Header1", "value1"),
        ("HEADER1", "value2"),
        ("Cookie", "cookie1=one; cookie2=two"),
        ("Content-Type", "application/json"),
        ("Content-Length", "17"),
        ("Connection", "keep-alive"),
        ("X-Amzn-Trace-Id", "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c"),
    ]
    event = build_http_event(
        request=request(
            headers,
            method="POST",
            path="/my/path with space",
            raw_query="parameter1=value1&parameter1=value2&parameter2=a%20b",
            request_id="LV7fzho-PHcEJPw=",
        ),
        api=API,
        stage=stage("dev", stageVariable1="value1"),
        match=RouteMatch("ANY /my/{proxy+}", {"proxy": "path with space"}),
        body=b'{"hello":"world"}',
        authorizer={"lambda": {"key": "value"}},
    )
    assert event == expected("http_request")


def test_http_event_with_nothing_leaves_fields_out() -> None:
    headers = [
        ("host", API.domain_name),
        ("user-agent", "curl/7.58.0"),
        ("accept", "*/*"),
        ("x-amzn-trace-id", "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c"),
    ]
    event = build_http_event(
        request=request(headers, request_id="LV7fzho-PHcEJPw="),
        api=API,
        stage=stage("$default"),
        match=RouteMatch("$default", {}),
        body=b"",
        authorizer=None,
    )
    assert event == expected("http_request_minimal")


@pytest.mark.parametrize(
    ("body", "content_type", "is_base64"),
    [
        (b"{}", "application/json; charset=utf-8", False),
        (b"x", "text/plain", False),
        ("ü".encode("latin-1"), "text/plain", True),
        (b"a=1", "application/x-www-form-urlencoded", True),
        (b"--b", "multipart/form-data; boundary=b", True),
        (b"x", "", True),
    ],
)
def test_bodies_that_are_not_text_are_base64(body: bytes, content_type: str, is_base64: bool) -> None:
    encoded, flag = encode_body(body, content_type)
    assert flag is is_base64
    assert (base64.b64decode(encoded) if flag else encoded.encode()) == body


CONTEXT = {"api": API, "connection_id": "R0oXAdfD0kwCH6w=", "connected_at_ms": MOMENT_MS, "source_ip": "203.0.113.7"}


def context(**fields: Any) -> ConnectionContext:
    return ConnectionContext(**CONTEXT, stage=stage("prod"), user_agent="agent", **fields)


def test_connect_event() -> None:
    headers = [
        ("Host", API.domain_name),
        ("User-Agent", "agent"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("X-Amzn-Trace-Id", "Root=1-5fd5ea4b-35d888b22f86c62d26beae28"),
    ]
    upgrade = request(headers, raw_query="a=1&a=2&ticket=x+y", request_id="R1koeHsUtjMFbRw=")
    assert build_connect_event(context=context(), request=upgrade) == expected("websocket_connect")


def test_message_event_has_a_body_and_no_headers() -> None:
    wanted = expected("websocket_message")
    event = build_message_event(
        context=context(authorizer={"principalId": "ada"}),
        route_key="$default",
        body=wanted["body"],
        epoch_ms=1587481705000,
    )
    _same_but_for_ids(event, wanted, "requestId", "extendedRequestId", "messageId")


def test_disconnect_event_says_why() -> None:
    event = build_disconnect_event(context=context(), code=1001, reason="Going away", epoch_ms=1587481705000)
    _same_but_for_ids(event, expected("websocket_disconnect"), "requestId", "extendedRequestId")


def test_ids_have_awss_shape() -> None:
    assert is_connection_id("R0oXAdfD0kwCH6w=")
    assert is_connection_id(new_id())
    for wrong in ("", "abc", "R0oXAdfD0kwCH6w", "../../etc/passwd", "ü" * 16):
        assert not is_connection_id(wrong)


def _same_but_for_ids(event: dict[str, Any], wanted: dict[str, Any], *ids: str) -> None:
    for name in ids:
        assert is_connection_id(event["requestContext"][name])
        event["requestContext"][name] = wanted["requestContext"][name]
    assert event == wanted
