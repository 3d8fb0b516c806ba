"""A response's body as text: bounded, unpacked, decoded."""

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

    Only as much is unpacked as is returned, so a decompression bomb costs nothing.
    """
    match content_encoding.strip().lower():
        case "" | "identity":
            unpack = None
        case "gzip" | "x-gzip":
            unpack = zlib.decompressobj(wbits=31)
        case other:
            raise UnreadableBodyError(f"it is packed as {other[:40]!r}, which was not asked for")
    body = bytearray()
    async for chunk in raw:
        left = chunk
        while left and len(body) <= max_bytes:
            if unpack is None:
                body += left
                break
            if unpack.eof:
                # A further member of the same file.
                unpack = zlib.decompressobj(wbits=31)
            try:
                body += unpack.decompress(left, max_bytes + 1 - len(body))
            except zlib.error as error:
                raise UnreadableBodyError(f"its gzip data is damaged: {error}") from error
            left = unpack.unconsumed_tail or unpack.unused_data
        if len(body) > max_bytes:
            break
    return bytes(body[:max_bytes]), len(body) > max_bytes


def decode(body: bytes, content_type: str) -> str:
    """The text of ``body``; bytes that do not fit its encoding become U+FFFD.

    Raises:
        UnreadableBodyError: there are NUL bytes in what should be text.
    """
    named = _CHARSET.search(content_type)
    encoding = named[1] if named and _ENCODINGS.fullmatch(named[1]) else "utf-8-sig"
    try:
        text = body.decode(encoding, errors="replace")
    except LookupError:
        text = body.decode("utf-8-sig", errors="replace")
    if "\0" in text:
        raise UnreadableBodyError("it has NUL bytes, so it is not text")
    return text
