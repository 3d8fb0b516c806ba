"""What the gateway makes of a function's answer, and the small parts beside it."""

import json

import pytest

from suna_localstack.gateway.addressing import Address, resolve, with_thread
from suna_localstack.gateway.apis import function_arn
from suna_localstack.gateway.http_responses import MalformedAnswerError, interpret_answer
from suna_localstack.gateway.settings import GatewaySettings
from suna_localstack.gateway.throttle import TokenBucket


def test_an_answer_without_a_status_is_the_body_of_a_200() -> None:
    response = interpret_answer(b'{"answer": 42}')
    assert (response.status, response.headers, response.body) == (
        200,
        [("content-type", "application/json")],
        b'{"answer": 42}',
    )
    assert interpret_answer(b'"text"').body == b"text"


def test_a_full_answer_sets_status_headers_cookies_and_body() -> None:
    answer = {
        "statusCode": "201",
        "headers": {"X-A": 1, "Transfer-Encoding": "chunked"},
        "cookies": ["a=1", "b=2"],
        "body": "aGk=",
        "isBase64Encoded": True,
    }
    response = interpret_answer(json.dumps(answer).encode())
    assert response.status == 201
    assert response.headers == [
        ("x-a", "1"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-type", "text/plain;charset=UTF-8"),
    ]
    assert response.body == b"hi"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not json",
        b"[" * 100_000,
        b'{"statusCode": "many"}',
        b'{"statusCode": 20}',
        b'{"statusCode": 101}',
        b'{"statusCode": 200, "headers": {"a b": "c"}}',
        b'{"statusCode": true}',
        b'{"statusCode": 200, "body": {"a": 1}}',
        b'{"statusCode": 200, "headers": ["a"]}',
        b'{"statusCode": 200, "headers": {"a": {"b": 1}}}',
        b'{"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}',
        b'{"statusCode": 200, "cookies": "a=1"}',
        b'{"statusCode": 200, "body": "?", "isBase64Encoded": true}',
    ],
)
def test_a_malformed_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        interpret_answer(answer)


@pytest.mark.parametrize(
    ("path", "is_upgrade", "expected"),
    [
        ("/threads/1", False, Address("http", path="/threads/1")),
        ("/threads/1/stream/events", False, Address("http", path="/threads/1/stream/events")),
        ("/threads/a%20b/stream/events", True, Address("websocket", thread_id="a b")),
        ("/threads/1/stream", True, Address("websocket", thread_id="1")),
        ("/", True, Address("websocket")),
        ("/elsewhere", True, None),
        ("/@http/abc", False, Address("http", api_id="abc", path="/")),
        ("/@http/abc/a%2Fb", False, Address("http", api_id="abc", path="/a%2Fb")),
        ("/@ws/abc/test", True, Address("websocket", api_id="abc", stage="test")),
        (
            "/@ws/abc/test/@connections/R0oXAdfD0kwCH6w%3D",
            False,
            Address("management", api_id="abc", stage="test", connection_id="R0oXAdfD0kwCH6w="),
        ),
        ("/@connections/R0oXAdfD0kwCH6w=", False, Address("management", connection_id="R0oXAdfD0kwCH6w=")),
    ],
)
def test_a_path_says_which_api_is_meant(path: str, is_upgrade: bool, expected: Address | None) -> None:
    assert resolve(path, is_upgrade=is_upgrade) == expected


def test_the_thread_in_the_path_replaces_one_in_the_query() -> None:
    assert with_thread("ticket=x&thread_id=other", "a b") == "ticket=x&thread_id=a+b"


@pytest.mark.parametrize(
    "uri",
    [
        "arn:aws:lambda:us-east-1:000000000000:function:f",
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations",
    ],
)
def test_both_spellings_of_an_integration_uri_name_the_function(uri: str) -> None:
    assert function_arn(uri) == "arn:aws:lambda:us-east-1:000000000000:function:f"


def test_settings_come_from_the_environment_and_name_what_is_wrong() -> None:
    settings = GatewaySettings.from_environment({"SUNA_GATEWAY_WEBSOCKET_IDLE_S": "1.5", "SUNA_GATEWAY_PORT": "8000"})
    assert (settings.websocket_idle_s, settings.port, settings.stack) == (1.5, 8000, "suna-local")
    with pytest.raises(ValueError, match="SUNA_GATEWAY_PORT='x' is not a valid int"):
        GatewaySettings.from_environment({"SUNA_GATEWAY_PORT": "x"})


def test_a_bucket_admits_its_burst_and_then_its_rate() -> None:
    now_s = 0.0
    bucket = TokenBucket(rate=2, burst=3, clock=lambda: now_s)
    assert [bucket.admit() for _ in range(4)] == [True, True, True, False]
    now_s = 0.5
    assert [bucket.admit() for _ in range(2)] == [True, False]
    now_s = 100
    assert [bucket.admit() for _ in range(4)] == [True, True, True, False]
