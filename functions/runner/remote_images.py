"""Images at addresses that messages name: fetched here and shown as data, by nobody else.

For some providers litellm fetches such an address itself, on the event loop and from within our network; others fetch
it, or refuse it. A guarded client reaches public addresses only, and takes no more bytes and time than it may.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from functions.runner.tools.network.following import NotFollowedError, following
from shared.network.addresses import RefusedAddressError, Resolver, resolve

TIME_LIMIT_S = 10.0

# What one answer of a model may have fetched and read for it, whatever becomes of it.
MOST_ADDRESSES = 20
MOST_READ_BYTES = 40_000_000
MOST_S = 30.0

# How files of these types begin: a provider that is shown anything else would refuse every later run of the thread.
BEGINNINGS = {
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/webp": (b"RIFF",),
}
# What a connection gives at once, at most.
_PART = 65_536
_ALL_BEGINNINGS = tuple(beginning for one in BEGINNINGS.values() for beginning in one)
_LONGEST_BEGINNING = max(map(len, _ALL_BEGINNINGS))
# Servers call an image so that do not know what it is.
_UNKNOWN = ("", "application/octet-stream", "binary/octet-stream")
NO_IMAGE = f"it is none of {', '.join(BEGINNINGS)}"

_HEADERS = {"User-Agent": "suna-serverless (an assistant, on behalf of its user)", "Accept": "image/*"}


class NotShownError(Exception):
    """Why an image cannot be shown, as a part of a sentence."""


@dataclass
class Allowance:
    """What may still be fetched and read: addresses, bytes, and until when (``time.monotonic()``)."""

    addresses: int = MOST_ADDRESSES
    bytes: int = MOST_READ_BYTES
    until: float = field(default_factory=lambda: time.monotonic() + MOST_S)

    def take_address(self) -> None:
        """Take one; raises :class:`NotShownError` if none may be fetched any more."""
        if self.addresses <= 0 or self.bytes <= 0 or self.left_s() <= 0:
            raise NotShownError("there are more addresses than are fetched at once")
        self.addresses -= 1

    def left_s(self) -> float:
        return self.until - time.monotonic()


async def fetch(
    url: str,
    *,
    max_bytes: int,
    allowance: Allowance,
    allowed_private: Collection[tuple[str, int]] = (),
    resolver: Resolver = resolve,
    time_limit_s: float = TIME_LIMIT_S,
) -> bytes:
    """The image at an address.

    ``allowance``: what is read is taken off it, whatever it is. ``allowed_private``: (host, port) pairs that need not
    be public; for tests, never from configuration.

    Raises:
        NotShownError: it is not public, no image, too large or too slow, or there is no such thing.
    """
    allowance.take_address()
    time_limit_s = min(time_limit_s, allowance.left_s())
    max_bytes = min(max_bytes, allowance.bytes)
    # Imported when first needed, beside the event loop: it takes 0.1-0.3 s.
    httpx: Any = await asyncio.to_thread(import_module, "httpx2")
    guarded: Any = await asyncio.to_thread(import_module, "functions.runner.tools.network.guarded")
    client = guarded.client(
        allowed_private=allowed_private,
        timeout=httpx.Timeout(time_limit_s),
        headers=_HEADERS,
        resolver=resolver,
        max_response_bytes=max_bytes,
    )
    try:
        async with asyncio.timeout(time_limit_s), client, following(client, httpx.URL(url)) as response:
            if not response.is_success:
                raise NotShownError(f"its server has answered {response.status_code}")
            return await _image(response, allowance)
    except (TimeoutError, httpx.TimeoutException):
        raise NotShownError(f"it did not come within {time_limit_s:g} s") from None
    except (NotFollowedError, RefusedAddressError) as error:
        raise NotShownError("its address is not fetched") from error
    except httpx.StreamError as error:
        # The part that was too much has been read, too.
        allowance.bytes -= _PART
        raise NotShownError("it is too large") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
        raise NotShownError("it cannot be fetched") from error


async def _image(response: Any, allowance: Allowance) -> bytes:
    """What a server sends, for as long as it may be an image."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind.startswith("image/") or kind in _UNKNOWN):
        raise NotShownError(NO_IMAGE)
    content = bytearray()
    async for part in response.aiter_raw():
        allowance.bytes -= len(part)
        content += part
        if len(content) >= _LONGEST_BEGINNING and not content.startswith(_ALL_BEGINNINGS):
            raise NotShownError(NO_IMAGE)
    return bytes(content)
