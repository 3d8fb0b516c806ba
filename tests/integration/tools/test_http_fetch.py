"""``http_fetch`` with real servers and real redirects."""

import asyncio
import gzip
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.runner.tools import ToolContext, ToolRegistry, ToolResult, invoke
from functions.runner.tools.builtin.http_fetch import HttpFetch
from functions.runner.tools.network import guarded
from shared.network.addresses import Address
from tests.integration.tools.http_server import HttpServer, answer, http_server, redirect
from tests.integration.waiting import until


async def fetch(tool: HttpFetch, url: str, context: ToolContext) -> ToolResult:
    function = ToolRegistry([tool]).get("http_fetch")
    assert function is not None
    return await invoke(function, {"url": url}, context)


def reaching(server: HttpServer, **limits: Any) -> HttpFetch:
    return HttpFetch(allowed_private=[server.place], **limits)


def held(result: ToolResult) -> dict[str, Any]:
    assert isinstance(result.output, dict), result.output
    return result.output


async def test_a_page_comes_as_text(server: HttpServer, context: ToolContext) -> None:
    page = '<title>Grüße</title><body><p>One <a href="/two">link</a></body>'.encode("latin-1")
    server.routes["/page?a=1"] = answer(page, "Content-Type: text/html; charset=iso-8859-1")
    result = await fetch(reaching(server), server.url("/page?a=1#part"), context)
    assert result == ToolResult(
        True,
        {
            "url": server.url("/page?a=1#part"),
            "status": 200,
            "content_type": "text/html",
            "text": f"Grüße\nOne link ({server.url('/two')})",
            "truncated": False,
        },
    )
    assert server.requests[0].startswith("GET /page?a=1 HTTP/1.1")


async def test_json_comes_as_it_is_and_packed_bodies_unpacked(server: HttpServer, context: ToolContext) -> None:
    server.routes["/"] = answer(gzip.compress(b'{"a": 1}'), "Content-Type: application/json", "Content-Encoding: gzip")
    assert held(await fetch(reaching(server), server.url(), context))["text"] == '{"a": 1}'


async def test_an_error_status_is_a_failure_with_its_text(server: HttpServer, context: ToolContext) -> None:
    server.routes["/"] = answer(b"no tea", "Content-Type: text/plain", status="418 I'm a teapot")
    result = await fetch(reaching(server), server.url(), context)
    assert not result.success
    assert (held(result)["status"], held(result)["text"]) == (418, "no tea")


async def test_redirects_are_followed_to_their_end(server: HttpServer, context: ToolContext) -> None:
    server.routes |= {"/": redirect("/two"), "/two": redirect(server.url("/three"), status="308 Permanent Redirect")}
    server.routes["/three"] = answer(b"here", "Content-Type: text/plain")
    assert held(await fetch(reaching(server), server.url(), context))["url"] == server.url("/three")


async def test_a_circle_of_redirects_ends(server: HttpServer, context: ToolContext) -> None:
    server.routes["/"] = redirect("/")
    result = await fetch(reaching(server), server.url(), context)
    assert "redirects more than 5 times" in result.text()
    assert len(server.requests) == 6


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_to_a_private_address_is_refused(
    status: str, server: HttpServer, hidden: HttpServer, context: ToolContext
) -> None:
    server.routes["/"] = redirect(hidden.url(), status=status)
    result = await fetch(reaching(server), server.url(), context)
    assert result.text() == (
        "Refused: '127.0.0.1' is at 127.0.0.1, which is not on the public internet: only public servers may be reached."
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0", "0x7f000001", "2130706433", "127.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"],
)
async def test_this_machine_is_refused_by_whatever_name(host: str, hidden: HttpServer, context: ToolContext) -> None:
    result = await fetch(HttpFetch(), hidden.url(host=host), context)
    assert "not on the public internet" in result.text()


async def test_a_redirect_to_a_name_of_this_machine_is_refused(
    server: HttpServer, hidden: HttpServer, context: ToolContext
) -> None:
    server.routes["/"] = redirect(hidden.url(host="localhost"))
    assert "'localhost' is at" in (await fetch(reaching(server), server.url(), context)).text()


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1/"]
)
async def test_metadata_and_private_networks_are_refused(url: str, context: ToolContext) -> None:
    assert "not on the public internet" in (await fetch(HttpFetch(), url, context)).text()


async def test_a_name_with_one_private_address_among_public_ones_is_refused(context: ToolContext) -> None:
    async def mixed(host: str, port: int) -> list[Address]:
        return [ip_address("93.184.215.14"), ip_address("10.0.0.1")]

    result = await fetch(HttpFetch(resolver=mixed), "http://mixed.example/", context)
    assert "'mixed.example' is at 10.0.0.1" in result.text()


async def test_a_name_is_looked_up_once_and_the_checked_address_is_connected_to(
    server: HttpServer, hidden: HttpServer, context: ToolContext
) -> None:
    """DNS rebinding: the second answer would be another server, and nobody asks for it."""
    server.routes["/"] = answer(b"the first", "Content-Type: text/plain")
    looked_up: list[str] = []

    async def rebinding(host: str, port: int) -> list[Address]:
        looked_up.append(host)
        return [ip_address("127.0.0.1" if len(looked_up) == 1 else "127.0.0.2")]

    tool = HttpFetch(allowed_private=[("rebind.example", server.port)], resolver=rebinding)
    result = await fetch(tool, server.url(host="rebind.example"), context)
    assert held(result)["text"] == "the first"
    assert looked_up == ["rebind.example"]
    assert f"host: rebind.example:{server.port}" in server.requests[0].lower()
    # Without the exemption the very same address is refused.
    looked_up.clear()
    refused = await fetch(HttpFetch(resolver=rebinding), hidden.url(host="rebind.example"), context)
    assert "'rebind.example' is at 127.0.0.1" in refused.text()


async def test_the_environment_s_proxy_is_not_used(
    server: HttpServer, hidden: HttpServer, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, hidden.url())
    server.routes["/"] = answer(b"direct", "Content-Type: text/plain")
    assert held(await fetch(reaching(server), server.url(), context))["text"] == "direct"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://example.org/", "neither http:// nor https://"),
        ("file:///etc/passwd", "neither http:// nor https://"),
        ("example.org", "neither http:// nor https://"),
        ("http://", "names no host"),
        ("http://user:word@example.org/", "user name or password"),
        ("http://example.org/" + "x" * 3_000, "longer than 2000"),
        ("http://exa mple.org:99999999/", "cannot be fetched"),
        ("http://[::1", "cannot be fetched"),
        ("http://" + "a" * 300 + ".org/", "cannot be fetched"),
        ("http://no-such-name.invalid/", "cannot be resolved"),
        ("", "neither http:// nor https://"),
    ],
)
async def test_a_url_that_is_not_fetched_is_told_why(url: str, told: str, context: ToolContext) -> None:
    result = await fetch(HttpFetch(), url, context)
    assert not result.success
    assert told in result.text()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://127.0.0.1/", "http://user:word@127.0.0.1/"])
async def test_a_redirect_to_another_scheme_is_refused(location: str, server: HttpServer, context: ToolContext) -> None:
    server.routes["/"] = redirect(location)
    result = await fetch(reaching(server), server.url(), context)
    assert not result.success
    assert "Refused" in result.text() or "cannot be fetched" in result.text()
    assert len(server.requests) == 1


async def test_what_is_not_text_is_not_read(server: HttpServer, context: ToolContext) -> None:
    server.routes["/"] = answer(b"\x89PNG", "Content-Type: image/png")
    assert "'image/png', which is not text" in (await fetch(reaching(server), server.url(), context)).text()


async def test_an_endless_body_is_cut(server: HttpServer, context: ToolContext) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()

    server.routes["/"] = endless
    result = held(await fetch(reaching(server, max_bytes=300_000, max_characters=1_000), server.url(), context))
    assert (result["text"], result["truncated"]) == ("x" * 1_000, True)


async def test_a_decompression_bomb_is_cut(server: HttpServer, context: ToolContext) -> None:
    bomb = gzip.compress(bytes(b"a" * 50_000_000))
    server.routes["/"] = answer(bomb, "Content-Type: text/plain", "Content-Encoding: gzip")
    result = held(await fetch(reaching(server, max_bytes=10_000), server.url(), context))
    assert (len(result["text"]), result["truncated"]) == (10_000, True)


async def test_a_body_that_drips_ends_with_the_time_limit(server: HttpServer, context: ToolContext) -> None:
    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.routes["/"] = dripping
    result = await fetch(reaching(server, time_limit_s=0.3), server.url(), context)
    assert "did not answer completely within 0.3 s" in result.text()


@pytest.mark.parametrize("broken", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"])
async def test_a_broken_answer_is_told(broken: bytes, server: HttpServer, context: ToolContext) -> None:
    server.routes["/"] = broken
    result = await fetch(reaching(server), server.url(), context)
    assert not result.success
    assert "cannot be fetched" in result.text()


async def test_a_closed_port_is_told(context: ToolContext) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    result = await fetch(HttpFetch(allowed_private=[("127.0.0.1", port)]), f"http://127.0.0.1:{port}/", context)
    assert "cannot be fetched" in result.text()


async def test_the_next_address_is_tried(server: HttpServer, context: ToolContext) -> None:
    async def two(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.2"), ip_address("127.0.0.1")]

    server.routes["/"] = answer(b"second", "Content-Type: text/plain")
    tool = HttpFetch(allowed_private=[("two.example", server.port)], resolver=two)
    assert held(await fetch(tool, server.url(host="two.example"), context))["text"] == "second"


def certificate(name: str, folder: Path) -> Path:
    """A certificate for ``name``, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(secret + signed.public_bytes(pem))
    return file


@pytest.mark.parametrize(("name", "is_fetched"), [("secure.example", True), ("other.example", False)])
async def test_tls_verifies_the_name_though_the_address_is_connected_to(
    name: str, is_fetched: bool, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate("secure.example", tmp_path)
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.load_cert_chain(file)
    monkeypatch.setattr(guarded, "_tls", lambda: ssl.create_default_context(cafile=file))

    async def here(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    async with http_server(tls=identity) as server:
        server.routes["/"] = answer(b"over TLS", "Content-Type: text/plain")
        tool = HttpFetch(allowed_private=[(name, server.port)], resolver=here)
        result = await fetch(tool, f"https://{name}:{server.port}/", context)
    if is_fetched:
        assert held(result)["text"] == "over TLS"
    else:
        assert "CERTIFICATE_VERIFY_FAILED" in result.text()


async def test_a_handshake_that_never_ends_is_ended(server: HttpServer, context: ToolContext) -> None:
    result = await fetch(reaching(server, time_limit_s=0.3), server.url().replace("http:", "https:"), context)
    assert not result.success
    assert "0.3 s" in result.text() or "cannot be fetched" in result.text()
    # The server sees the end of the connection: nothing is left open.
    await until(lambda: server.open_connections == 0)


async def test_many_fetches_at_once_do_not_disturb_each_other(server: HttpServer, context: ToolContext) -> None:
    tool = reaching(server)
    for number in range(50):
        server.routes[f"/{number}"] = answer(str(number).encode(), "Content-Type: text/plain")
    results = await asyncio.gather(*(fetch(tool, server.url(f"/{number}"), context) for number in range(50)))
    assert [held(result)["text"] for result in results] == [str(number) for number in range(50)]
