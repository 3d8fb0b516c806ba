"""Following an address to the response at the end of its redirects; each is looked at before it is asked for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

MAX_REDIRECTS = 5
_MAX_URL = 2_000


class NotFollowedError(Exception):
    """Why an address is not asked for; a sentence without its full stop."""


@asynccontextmanager
async def following(client: "httpx2.AsyncClient", url: "httpx2.URL") -> "AsyncGenerator[httpx2.Response]":
    """The response to GET, its body not read yet.

    Raises:
        NotFollowedError: the address, or one that it redirects to, is not asked for; or there are too many.
    """
    target = url
    for _ in range(MAX_REDIRECTS + 1):
        if problem := _problem(target):
            raise NotFollowedError(f"Refused: {problem}")
        async with client.stream("GET", target) as response:
            if response.next_request is None:
                yield response
                return
            target = response.next_request.url
    raise NotFollowedError(f"{str(url)!r} redirects more than {MAX_REDIRECTS} times")


def _problem(url: "httpx2.URL") -> str | None:
    """Why ``url`` is not requested, if it is not."""
    if url.scheme not in ("http", "https"):
        return f"{str(url)[:200]!r} is neither http:// nor https://"
    if not url.host:
        return f"{str(url)[:200]!r} names no host"
    if url.userinfo:
        return "an address with a user name or password in it is not fetched"
    if len(str(url)) > _MAX_URL:
        return f"the address is longer than {_MAX_URL} characters"
    return None
