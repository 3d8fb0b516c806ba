"""Whoever fetches pages that are much work has threads of his own share, and leaves the others alone."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from functions.runner.tools.builtin.http_fetch import PAGES_OF_ACCOUNT, HttpFetch
from functions.runner.tools.network import body, html
from functions.runner.tools.result import ToolResult
from shared.shares import on_share_of
from tests.integration.tools.http_server import HttpServer, answer
from tests.integration.waiting import until

HTML = "Content-Type: text/html"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The addresses of pages whose reading has begun; that of "/slow" ends with the test."""
    begun: list[str] = []
    ended = threading.Event()
    text_of = html.text_of

    def noted(page: str, *, base_url: str, max_characters: int) -> Any:
        begun.append(base_url)
        if base_url.endswith("/slow"):
            ended.wait(60)
        return text_of(page, base_url=base_url, max_characters=max_characters)

    monkeypatch.setattr(html, "text_of", noted)
    try:
        yield begun
    finally:
        ended.set()


async def _fetched(tool: HttpFetch, url: str, account_id: str) -> ToolResult:
    with on_share_of(account_id):
        return await tool.http_fetch(url)


async def test_an_account_s_pages_take_no_thread_but_its_own(server: HttpServer, read: list[str]) -> None:
    server.routes |= {"/slow": answer(b"<p>slow", HTML), "/": answer(b"<p>fast", HTML)}
    tool = HttpFetch(allowed_private=[server.place])
    # GIVEN an account with more pages than the loop, or the readers, have threads
    slow = [asyncio.create_task(_fetched(tool, server.url("/slow"), "hostile")) for _ in range(40)]
    await until(lambda: len(server.requests) == 40 and bool(read))
    try:
        # THEN the loop's threads are free, and another account's page is read
        assert await asyncio.to_thread(lambda: "free") == "free"
        fast = await _fetched(tool, server.url(), "another")
        assert isinstance(fast.output, dict)
        assert fast.output["text"] == "fast"
        # AND it has one of the readers, also once it has stopped waiting
        assert read.count(server.url("/slow")) == PAGES_OF_ACCOUNT
    finally:
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
    assert read.count(server.url("/slow")) == PAGES_OF_ACCOUNT
    fast = await _fetched(tool, server.url(), "another")
    assert fast.success


async def test_a_page_of_millions_of_tags_is_read_up_to_what_is_kept(server: HttpServer) -> None:
    server.routes["/"] = answer(gzip.compress(b"<" * 5_000_000), HTML, "Content-Encoding: gzip")
    result = await HttpFetch(allowed_private=[server.place]).http_fetch(server.url())
    assert isinstance(result.output, dict)
    assert (result.output["text"], result.output["truncated"]) == ("<" * 100_000, True)


async def test_of_a_long_text_no_more_is_decoded_than_is_kept(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = body.decode

    def noted(data: bytes, content_type: str) -> str:
        decoded.append(len(data))
        return decode(data, content_type)

    monkeypatch.setattr(body, "decode", noted)
    server.routes["/"] = answer("中".encode() * 1_000_000, "Content-Type: text/plain")
    result = await HttpFetch(allowed_private=[server.place], max_characters=1_000).http_fetch(server.url())
    assert isinstance(result.output, dict)
    assert (result.output["text"], result.output["truncated"]) == ("中" * 1_000, True)
    assert decoded == [4_004]
