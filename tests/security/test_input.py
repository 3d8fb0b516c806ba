"""Input that is made to hurt: addresses inside, names that climb, bombs."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncGenerator

import httpx
import pytest

from tests.e2e.conftest import RunningStack
from tests.e2e.threads import ended_run, new_thread, start_run, stored_messages
from tests.security.routes import Property

# Ways to say "a server that is not on the internet", or "not a server".
INSIDE = (
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://017700000001/",
    "http://0.0.0.0/",
    "http://localhost/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1]/",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://169.254.170.2/v2/credentials",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://user:password@127.0.0.1/",
    "http://example.org@127.0.0.1/",
    "http://127.0.0.1#@example.org/",
    "http://127.0.0.1%2f@example.org/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "ftp://127.0.0.1/",
    "data:text/plain,x",
    "//127.0.0.1/",
)
CLIMBING = (
    "/threads/../../etc/passwd",
    "/threads/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/threads/..%252f..%252fetc%252fpasswd",
    "/threads/%00",
    "/app/..%2f..%2f..%2fetc/passwd",
    "/app/%2e%2e/%2e%2e/functions/api/auth.py",
    "/app//etc/passwd",
    "/app/\\..\\..\\etc\\passwd",
)
DEEP = "[" * 100_000
BOMBS: dict[str, bytes] = {
    "deep array": DEEP.encode(),
    "deep object": b'{"a":' * 50_000,
    "deep, closed": b'{"metadata": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "long number": b'{"metadata": {"a": ' + b"9" * 100_000 + b"}}",
    "infinity": b'{"metadata": {"a": 1e999999}}',
    "not a number": b'{"metadata": {"a": NaN}}',
    "nul": b'{"metadata": {"a": "\\u0000"}}',
    "half a surrogate": b'{"metadata": {"a": "\\ud800"}}',
    "not utf-8": b'{"metadata": {"a": "\xff\xfe"}}',
    "the same key a hundred thousand times": b"{" + b'"a": 1,' * 100_000 + b'"a": 1}',
    "wide": json.dumps({"metadata": {str(n): n for n in range(100_000)}}).encode(),
    "text where a number is": b'{"limit": "' + b"x" * 1_000_000 + b'"}',
}
PACKED: dict[str, bytes] = {
    "gzip": gzip.compress(b"0" * 50_000_000),
    "deflate": zlib.compress(b"0" * 50_000_000),
    "br": b"\xff" * 1000,
}


@pytest.fixture(scope="module")
async def http(stack: RunningStack, owned: Property) -> AsyncGenerator[httpx.AsyncClient]:
    """The owner's client."""
    async with httpx.AsyncClient(base_url=stack.base_url, headers=owned.headers, timeout=60) as client:
        yield client


@pytest.mark.parametrize("url", INSIDE)
async def test_an_agent_fetches_nothing_inside(http: httpx.AsyncClient, url: str) -> None:
    thread_id = await new_thread(http)
    call = json.dumps({"url": url})
    run = await start_run(http, thread_id, f"[[first 0]] [[rate 0]] [[tool http_fetch {call}]] [[say done]]")
    assert (await ended_run(http, run))["status"] == "success"
    [result] = [message for message in await stored_messages(http, thread_id) if message["type"] == "tool"]
    assert str(result["content"]["content"]).startswith(("Refused: ", "The tool was called with wrong arguments")), (
        result
    )


@pytest.mark.parametrize("path", CLIMBING)
async def test_no_path_leads_out(stack: RunningStack, owned: Property, path: str) -> None:
    # httpx would tidy the path up.
    host, _, port = stack.base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {owned.headers['authorization']}\r\n"
        "connection: close\r\n\r\n".encode()
    )
    answer = (await reader.read()).decode(errors="replace")
    writer.close()
    status = int(answer.split()[1])
    assert 300 <= status < 500, answer[:300]
    assert "root:" not in answer
    assert "import " not in answer


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("path", ["/threads", "/threads/search", "/threads/{thread_id}/runs", "/assistants"])
async def test_a_bomb_is_bad_input(http: httpx.AsyncClient, owned: Property, path: str, bomb: str) -> None:
    answer = await http.post(
        path.format(**owned.values), content=BOMBS[bomb], headers={"content-type": "application/json"}
    )
    assert answer.status_code < 500, answer.text
    _is_json(answer)


@pytest.mark.parametrize("bomb", ["deep array", "deep object", "long number", "not utf-8", "nul"])
async def test_a_bomb_in_a_command_is_bad_input(http: httpx.AsyncClient, owned: Property, bomb: str) -> None:
    path = f"/threads/{owned.values['thread_id']}/commands"
    answer = await http.post(path, content=BOMBS[bomb], headers={"content-type": "application/json"})
    assert answer.status_code < 500, answer.text
    assert answer.status_code >= 400 or answer.json()["type"] == "error"


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_body_is_never_unpacked(http: httpx.AsyncClient, encoding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    answer = await http.post("/threads", content=PACKED[encoding], headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("authorization", "Bearer " + "a" * 7_000),
        ("authorization", "Bearer a.b.c.d.e"),
        ("authorization", "Basic YTpi"),
        ("authorization", "Bearer"),
        ("x-api-key", "sk_suna_" + "a" * 5_000),
        ("x-api-key", "' OR 1=1 --"),
        ("x-api-key", "sk_suna_\\x00"),
    ],
)
async def test_a_strange_credential_is_none(stack: RunningStack, header: str, value: str) -> None:
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=30) as client:
        assert (await client.get("/threads/" + "0" * 32, headers={header: value})).status_code == 401


@pytest.mark.parametrize("path", ["/ok", "/threads/count", "/nothing", "/app/"])
async def test_browsers_are_told_to_be_careful(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    if path != "/app/":  # CloudFront says the rest for the page's files
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_page_of_another_origin_may_use_a_cookie(http: httpx.AsyncClient, method: str) -> None:
    preflight = {
        "origin": "https://elsewhere.example",
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type",
    }
    answer = await http.options("/threads", headers=preflight)
    assert answer.headers.get("access-control-allow-credentials") != "true"


def _is_json(answer: httpx.Response) -> None:
    if answer.content:
        json.loads(answer.text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
