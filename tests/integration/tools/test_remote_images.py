"""Images at addresses that messages name, from real servers; nothing else of a message is fetched, or passed on."""

import base64
from typing import Any, cast
from uuid import uuid4

import pytest

from functions.runner import images, remote_images
from functions.runner.images import Images
from functions.runner.remote_images import MOST_ADDRESSES, MOST_READ_BYTES, Allowance, NotShownError
from shared.domain import Claim
from tests.integration.tools.http_server import HttpServer, answer, redirect
from tests.unit.claims import new_claim

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def shown(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A block as the model is given it; the test's server may be reached."""
    fetch = remote_images.fetch

    async def reaching(url: str, **options: Any) -> bytes:
        return await fetch(url, allowed_private=[server.place], time_limit_s=2.0, **options)

    monkeypatch.setattr(remote_images, "fetch", reaching)
    one = Images(cast("Claim", new_claim()))

    async def show(*blocks: Any) -> list[Any]:
        [message] = await one.shown([{"role": "user", "content": list(blocks)}])
        return message["content"]

    return show


def _block(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


async def test_an_image_at_an_address_is_shown_as_data_and_fetched_once(server: HttpServer, shown: Any) -> None:
    server.routes |= {"/a": answer(PNG), "/b": redirect("/a")}
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    for url in ("/a", "/b"):
        assert await shown(_block(server.url(url))) == [_block(data)]
        assert await shown(_block(server.url(url))) == [_block(data)]
    assert len(server.requests) == 3
    # What is data already, and what is words, stays as it is.
    words = {"type": "text", "text": f"see {server.url('/a')}"}
    call = {"type": "tool_use", "id": "1", "name": "http_fetch", "input": {"url": server.url("/a")}}
    assert await shown(_block(data), words, call) == [_block(data), words, call]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": "URL"},
        {"type": "image", "url": "URL"},
        {"type": "image", "source": {"type": "url", "url": "URL"}},
        {"type": "file", "file": {"file_id": "URL"}},
        {"type": "document", "source": {"type": "url", "url": "URL"}},
        {"type": "video_url", "video_url": {"url": "URL"}},
        {"type": "input_audio", "input_audio": {"data": "URL"}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"url": "URL"}}]},
        {"type": "text", "text": "hello", "image_url": {"url": "URL"}},
    ],
)
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", " http://169.254.169.254/", "file:///etc/passwd", "gs://b/o", "https://10.0.0.1/x"]
)
async def test_no_address_is_passed_on_or_reached_that_is_not_public(shown: Any, block: Any, url: str) -> None:
    def named(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: named(value) for key, value in part.items()}
        return [named(one) for one in part] if isinstance(part, list) else url if part == "URL" else part

    [given] = await shown(named(block))
    assert given["type"] == "text"
    assert "not shown" in given["text"]
    assert url not in str(given)


async def test_why_an_image_is_not_shown_is_said(
    server: HttpServer, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    server.routes |= {
        "/page": answer(b"<html>"),
        "/large": answer(PNG + bytes(2000)),
        "/loop": redirect("/loop"),
        "/inside": redirect("http://10.0.0.1/"),
        "/gone": answer(b"", status="404 Not Found"),
        "/slow": _never,
    }
    for path, why in {
        "/page": "none of image/gif",
        "/large": "too large",
        "/loop": "not fetched",
        "/inside": "not fetched",
        "/gone": "404",
        "/slow": "did not come within 2 s",
    }.items():
        [given] = await shown(_block(server.url(path)))
        assert why in given["text"]


async def test_what_is_fetched_for_one_answer_is_bounded_also_when_it_is_not_shown(
    server: HttpServer, shown: Any
) -> None:
    # GIVEN a hundred addresses of large files that begin as images do, but end too soon
    begun = answer(PNG)[: -len(PNG)].replace(b"Content-Length: 108", b"Content-Length: 5000000")
    server.routes |= {f"/{number}": begun + PNG + bytes(4_000_000) for number in range(100)}
    blocks = [_block(server.url(f"/{number}")) for number in range(100)]
    given = await shown(*blocks)
    assert {block["type"] for block in given} == {"text"}
    # THEN so many bytes are read, and a part more at most
    assert len(server.requests) == MOST_READ_BYTES // 4_000_000
    # AND of small ones so many addresses, the newest first
    server.requests.clear()
    blocks = [_block(server.url(f"/gone/{number}")) for number in range(100)]
    given = await shown(*blocks)
    assert len(server.requests) == MOST_ADDRESSES
    assert "404" in given[-1]["text"]
    assert "more addresses than are fetched at once" in given[0]["text"]
    # AND what was not shown stays so for the run: each try would be another request
    assert await shown(*blocks) == given
    assert len(server.requests) == MOST_ADDRESSES


async def test_no_more_is_read_of_what_is_no_image(server: HttpServer, shown: Any) -> None:
    sent = 0

    async def endless(writer: Any, kind: str) -> None:
        nonlocal sent
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()
            sent += 10_000

    server.routes |= {
        "/page": lambda writer: endless(writer, "text/html"),
        "/false": lambda writer: endless(writer, "image/png"),
    }
    for path in ("/page", "/false"):
        [given] = await shown(_block(server.url(path)))
        assert "none of image/gif" in given["text"]
    # What the sockets between them hold.
    assert sent < 15_000_000


async def test_time_is_up_for_all_addresses_together(server: HttpServer, shown: Any) -> None:
    server.routes["/a"] = answer(PNG)
    over = Allowance(until=0.0)
    with pytest.raises(NotShownError, match="more addresses than are fetched"):
        await remote_images.fetch(server.url("/a"), max_bytes=1000, allowance=over)
    assert server.requests == []


async def _never(writer: Any) -> None:
    await writer.wait_closed()


async def test_an_address_that_is_none_is_no_fault() -> None:
    for url in ("http://", "http://[::1", "http://\x00", str(uuid4())):
        with pytest.raises(NotShownError):
            await remote_images.fetch(url, max_bytes=100, allowance=Allowance())
