"""A response's body as text: bounded, unpacked, decoded."""

import asyncio
import codecs
import re
import zlib
from collections.abc import AsyncIterator

# What is text, whatever its type is called.
_TEXT = re.compile(
    r"text/.*|application/(?:.*\+)?(?:json|xml|yaml|x-yaml|javascript|ecmascript|x-javascript|x-ndjson|jsonl|toml|graphql"
    r"|sql|x-sh|x-www-form-urlencoded)|image/svg\+xml|message/.*"
)
# Encodings of text that are safe to decode with: Python knows others, some of them quadratic.
_ENCODINGS = re.compile(
    r"utf-?8(-sig)?|utf-?(16|32)([-_]?[lb]e)?|(us-)?ascii|latin-?1|iso-?8859-?\d{1,2}|(windows-?|cp)\d{3,4}"
    r"|shift[-_]?jis|euc[-_](jp|kr)|gb(k|2312|18030)|big5|koi8-[ru]",
    re.IGNORECASE,
)
# So much is unpacked, or decoded, in one go.
SLICE = 65_536
# Of a gzip file. A further one costs time whatever is in it, and may have nothing.
MOST_MEMBERS = 1_000
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)


class UnreadableBodyError(Exception):
    """The body is not text, or is encoded in a way that was not asked for."""


def media_type(content_type: str) -> str:
    """``text/html`` of ``text/html; charset=utf-8``; empty if there is none."""
    return content_type.partition(";")[0].strip().lower()


def require_text(content_type: str) -> None:
    """Raises :class:`UnreadableBodyError` unless ``content_type`` is one of text, or missing."""
    kind = media_type(content_type)
    if kind and _TEXT.fullmatch(kind) is None:
        raise UnreadableBodyError(f"it is of the type {kind!r}, which is not text")


async def read(raw: AsyncIterator[bytes], *, content_encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    """At most ``max_bytes`` of the unpacked body, and whether that is less than the whole.

    Only as much is unpacked as is returned, so a decompression bomb costs nothing; and little more is read than that,
    since packed data may unpack to nothing for ever.
    """
    match content_encoding.strip().lower():
        case "" | "identity":
            parts = raw
        case "gzip" | "x-gzip":
            parts = _unpacked(raw, max_packed=max_bytes + SLICE)
        case other:
            raise UnreadableBodyError(f"it is packed as {other[:40]!r}, which was not asked for")
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > max_bytes:
            break
    return bytes(body[:max_bytes]), len(body) > max_bytes


async def _unpacked(raw: AsyncIterator[bytes], *, max_packed: int) -> AsyncIterator[bytes]:
    """What gzip data has in it, at most ``SLICE`` at a time; between those, the loop's other tasks have their turns."""
    unpack = zlib.decompressobj(wbits=31)
    members, packed = 1, 0
    async for chunk in raw:
        packed += len(chunk)
        if packed > max_packed:
            raise UnreadableBodyError("there is more of it than it unpacks to")
        left = chunk
        while True:
            if unpack.eof and left:
                # A further member of the same file.
                members += 1
                if members > MOST_MEMBERS:
                    raise UnreadableBodyError(f"its gzip data has more than {MOST_MEMBERS:,} members")
                unpack = zlib.decompressobj(wbits=31)
            try:
                part = unpack.decompress(left, SLICE)
            except zlib.error as error:
                raise UnreadableBodyError(f"its gzip data is damaged: {error}") from error
            if part:
                yield part
                await asyncio.sleep(0)
            left = unpack.unconsumed_tail or unpack.unused_data
            # Less than was asked for: the rest is in what comes next.
            if not left and (len(part) < SLICE or unpack.eof):
                break


def decode(body: bytes, content_type: str) -> str:
    """The text of ``body``; bytes that do not fit its encoding become U+FFFD.

    Raises:
        UnreadableBodyError: there are NUL bytes in what should be text.
    """
    named = _CHARSET.search(content_type)
    encoding = named[1] if named and _ENCODINGS.fullmatch(named[1]) else "utf-8-sig"
    try:
        text = _decoded(body, encoding)
    except LookupError:
        text = _decoded(body, "utf-8-sig")
    except UnicodeError:
        # It does not say in which order its bytes are.
        text = _decoded(body, "utf-16-le" if "16" in encoding else "utf-32-le")
    if "\0" in text:
        raise UnreadableBodyError("it has NUL bytes, so it is not text")
    return text


def _decoded(body: bytes, encoding: str) -> str:
    """In slices, between which other threads of the process get the interpreter: each byte may be one to replace."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    slices = [decoder.decode(body[at : at + SLICE]) for at in range(0, len(body), SLICE)]
    return "".join([*slices, decoder.decode(b"", final=True)])
