"""The path rule at the edge, run in Node as CloudFront runs it."""

import json
import subprocess
from pathlib import Path

import pytest

from infra.constructs.edge import PAGE_ROUTER, ROUTER

WEBSOCKET = "abc.execute-api.us-east-1.amazonaws.com"


def route(tmp_path: Path, method: str, uri: str, query: dict[str, str] | None = None) -> dict[str, object]:
    """The request after the function, and the origin it chose (None: the distribution's own)."""
    source = ROUTER.read_text().replace("import cf from 'cloudfront';", "")
    source = source.replace("WEBSOCKET_DOMAIN", WEBSOCKET).replace("WEBSOCKET_STAGE", "live")
    request = {
        "method": method,
        "uri": uri,
        "querystring": {key: {"value": value} for key, value in (query or {}).items()},
    }
    script = tmp_path / "router.mjs"
    script.write_text(
        f"let origin = null; const cf = {{ updateRequestOrigin: (chosen) => {{ origin = chosen; }} }};\n{source}\n"
        f"console.log(JSON.stringify({{ request: handler({{ request: {json.dumps(request)} }}), origin }}));"
    )
    done = subprocess.run(["node", str(script)], check=True, capture_output=True, text=True, timeout=30)
    return json.loads(done.stdout)


@pytest.mark.parametrize("uri", ["/threads/t-1/stream/events", "/threads/t-1/stream", "/threads/t-1/stream/events/"])
def test_a_streams_handshake_goes_to_the_websocket_api_with_its_thread(tmp_path: Path, uri: str) -> None:
    routed = route(tmp_path, "GET", uri, {"ticket": "x", "thread_id": "forged"})

    assert routed["origin"] == {"domainName": WEBSOCKET, "originPath": ""}
    assert routed["request"] == {
        "method": "GET",
        "uri": "/live",
        "querystring": {"ticket": {"value": "x"}, "thread_id": {"value": "t-1"}},
    }


@pytest.mark.parametrize(
    ("method", "uri"),
    [
        ("POST", "/threads/t-1/stream/events"),
        ("OPTIONS", "/threads/t-1/stream"),
        ("GET", "/threads/t-1/runs/r-1/stream"),
        ("GET", "/threads/t-1/streams"),
        ("GET", "/threads/t-1"),
        ("GET", "/"),
    ],
)
def test_everything_else_goes_to_the_http_api_as_it_is(tmp_path: Path, method: str, uri: str) -> None:
    routed = route(tmp_path, method, uri)

    assert routed["origin"] is None
    assert routed["request"] == {"method": method, "uri": uri, "querystring": {}}


def test_the_page_without_its_slash_is_sent_to_it(tmp_path: Path) -> None:
    routed = route(tmp_path, "GET", "/app")

    assert routed["request"] == {
        "statusCode": 308,
        "statusDescription": "Permanent Redirect",
        "headers": {"location": {"value": "/app/"}},
    }


@pytest.mark.parametrize(
    ("uri", "file"), [("/app/", "/app/index.html"), ("/app/assets/a.js", "/app/assets/a.js"), ("/app/x", "/app/x")]
)
def test_a_folder_of_the_page_is_its_index(tmp_path: Path, uri: str, file: str) -> None:
    script = tmp_path / "page_router.mjs"
    script.write_text(
        f"{PAGE_ROUTER.read_text()}\nconsole.log(handler({{ request: {{ method: 'GET', uri: '{uri}' }} }}).uri);"
    )
    done = subprocess.run(["node", str(script)], check=True, capture_output=True, text=True, timeout=30)

    assert done.stdout.strip() == file
