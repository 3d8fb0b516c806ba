"""Routes: HTTP by method and path, WebSocket by the message."""

import json

import pytest

from suna_localstack.gateway.matching import RouteMatch, match_http_route, select_websocket_route

ROUTES = [
    "$default",
    "ANY /pets/{proxy+}",
    "GET /pets/{id}",
    "ANY /pets/{id}",
    "GET /pets/dog",
    "GET /pets/{id}/toys/{toy}",
    "GET /pets/{id}/{rest+}",
    "POST /",
]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/pets/dog", RouteMatch("GET /pets/dog", {})),
        ("GET", "/pets/1", RouteMatch("GET /pets/{id}", {"id": "1"})),
        ("PUT", "/pets/1", RouteMatch("ANY /pets/{id}", {"id": "1"})),
        ("GET", "/pets/a b", RouteMatch("GET /pets/{id}", {"id": "a b"})),
        ("GET", "/pets/1/toys/ball", RouteMatch("GET /pets/{id}/toys/{toy}", {"id": "1", "toy": "ball"})),
        ("GET", "/pets/1/toys/ball/red", RouteMatch("GET /pets/{id}/{rest+}", {"id": "1", "rest": "toys/ball/red"})),
        ("PUT", "/pets/1/toys", RouteMatch("ANY /pets/{proxy+}", {"proxy": "1/toys"})),
        ("POST", "/", RouteMatch("POST /", {})),
        ("GET", "/pets", RouteMatch("$default", {})),
        ("GET", "/", RouteMatch("$default", {})),
    ],
)
def test_the_most_specific_http_route_wins(method: str, path: str, expected: RouteMatch) -> None:
    assert match_http_route(ROUTES, method, path) == expected
    assert match_http_route(reversed(ROUTES), method, path) == expected


def test_without_a_default_route_nothing_else_matches() -> None:
    assert match_http_route(["GET /pets"], "GET", "/cats") is None
    assert match_http_route(["GET /a.b"], "GET", "/aXb") is None


CUSTOM = dict.fromkeys(["$connect", "$disconnect", "$default", "join", "1"])


@pytest.mark.parametrize(
    ("expression", "body", "expected"),
    [
        ("$request.body.action", '{"action": "join"}', "join"),
        ("${request.body.action}", '{"action": "join"}', "join"),
        ("$request.body.action.name", '{"action": {"name": "join"}}', "join"),
        ("$request.body.action", '{"action": 1}', "1"),
        ("$request.body.action", '{"action": "other"}', "$default"),
        ("$request.body.action", '{"action": "$connect"}', "$default"),
        ("$request.body.action", '{"action": ["join"]}', "$default"),
        ("$request.body.action", '["action"]', "$default"),
        ("$request.body.action", "join", "$default"),
        ("$request.body.action", "", "$default"),
        ("$request.body.action", "[" * 100_000, "$default"),
        ("$request.body.action", '{"action":' * 20_000, "$default"),
    ],
)
def test_a_message_is_routed_by_its_body(expression: str, body: str, expected: str) -> None:
    assert select_websocket_route(CUSTOM, expression, body) == expected


def test_a_message_without_any_route_has_none() -> None:
    assert select_websocket_route({"$connect": None}, "$request.body.action", json.dumps({})) is None
