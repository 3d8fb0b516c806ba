"""Bodies of responses: bounded, unpacked, decoded."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from functions.runner.tools.network import body
from functions.runner.tools.network.body import UnreadableBodyError
from tests.turns import turns


async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "GZIP"])
async def test_a_body_is_unpacked_however_it_is_cut(encoding: str, size: int) -> None:
    text = b"hello world " * 50
    sent = gzip.compress(text[:100]) + gzip.compress(text[100:]) if encoding.lower() == "gzip" else text
    assert await body.read(chunks(sent, size), content_encoding=encoding, max_bytes=10_000) == (text, False)
    assert await body.read(chunks(sent, size), content_encoding=encoding, max_bytes=len(text)) == (text, False)
    cut = await body.read(chunks(sent, size), content_encoding=encoding, max_bytes=150)
    assert cut == (text[:150], True)


async def test_a_decompression_bomb_is_not_unpacked() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(300)) + packer.flush()
    tracemalloc.start()
    read, cut = await body.read(chunks(bomb, 65_536), content_encoding="gzip", max_bytes=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(read), cut) == (100_000, True)
    assert peak < 2_000_000


async def test_members_that_hold_nothing_are_counted() -> None:
    few = gzip.compress(b"") * 900 + gzip.compress(b"text")
    assert await body.read(chunks(few, 65_536), content_encoding="gzip", max_bytes=100) == (b"text", False)
    with pytest.raises(UnreadableBodyError, match="more than 1,000 members"):
        await body.read(chunks(gzip.compress(b"") * 5_000, 65_536), content_encoding="gzip", max_bytes=100)


async def test_packed_data_that_unpacks_to_nothing_is_not_read_for_ever() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield gzip.compress(b"")[:10]
        while True:
            sent += 50_000
            # A stored block without a byte in it, again and again.
            yield b"\0\0\0\xff\xff" * 10_000

    with pytest.raises(UnreadableBodyError, match="more of it than it unpacks to"):
        await body.read(endless(), content_encoding="gzip", max_bytes=1_000_000)
    assert sent < 1_200_000


async def test_while_a_body_is_unpacked_others_have_their_turns() -> None:
    packed = gzip.compress(bytes(4_000_000))
    async with turns() as others:
        read, cut = await body.read(chunks(packed, 65_536), content_encoding="gzip", max_bytes=5_000_000)
    assert (len(read), cut) == (4_000_000, False)
    assert others.taken >= 4_000_000 // body.SLICE


@pytest.mark.parametrize(("encoding", "data"), [("br", b"x"), ("gzip, gzip", b"x"), ("gzip", b"not gzip at all")])
async def test_a_body_that_cannot_be_unpacked_is_named(encoding: str, data: bytes) -> None:
    with pytest.raises(UnreadableBodyError):
        await body.read(chunks(data, 100), content_encoding=encoding, max_bytes=100)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "TEXT/HTML; charset=utf-8", "application/json", "application/ld+json", "application/xml"],
)
def test_text_has_many_names(content_type: str) -> None:
    body.require_text(content_type)


@pytest.mark.parametrize("content_type", ["image/png", "application/pdf", "application/octet-stream", "video/mp4"])
def test_what_is_not_text_is_refused(content_type: str) -> None:
    with pytest.raises(UnreadableBodyError, match="which is not text"):
        body.require_text(content_type)


@pytest.mark.parametrize(
    ("data", "content_type", "text"),
    [
        ("grün".encode(), "text/plain", "grün"),
        ("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grün"),
        ("中文".encode("gb18030"), 'text/html; charset="gb18030"', "中文"),
        (b"\xef\xbb\xbfa", "text/plain; charset=utf-8", "a"),
        (b"a\xff", "text/plain", "a\ufffd"),
        (("é中" * 50_000).encode(), "text/plain", "é中" * 50_000),
        ("中文".encode("utf-16-le"), "text/plain; charset=utf-16", "中文"),
        ("中文".encode("utf-16"), "text/plain; charset=utf-16", "中文"),
        ("中文".encode("utf-32"), "text/plain; charset=UTF32", "中文"),
        (b"abc", "text/plain; charset=idna", "abc"),
        (b"abc", "text/plain; charset=cp9999", "abc"),
    ],
)
def test_text_is_decoded_as_it_says(data: bytes, content_type: str, text: str) -> None:
    assert body.decode(data, content_type).lstrip("\ufeff") == text


def test_bytes_that_only_claim_to_be_text_are_refused() -> None:
    with pytest.raises(UnreadableBodyError, match="NUL"):
        body.decode(b"\x7fELF\x00\x01", "text/plain")
