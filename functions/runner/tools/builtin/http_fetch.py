"""Reading a page of the web."""

import asyncio
from collections.abc import Collection
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from functions.runner.tools.network import body, html
from functions.runner.tools.network.following import NotFollowedError, following
from functions.runner.tools.result import ToolResult
from functions.runner.tools.tool import Tool, tool_function
from shared.network.addresses import RefusedAddressError, Resolver, resolve
from shared.shares import SharedThreads

if TYPE_CHECKING:
    import httpx2

_HEADERS = {
    "User-Agent": "suna-serverless (an assistant reading on behalf of its user)",
    "Accept": "text/html, application/json, text/*;q=0.9, */*;q=0.1",
    # What body.read can unpack step by step.
    "Accept-Encoding": "gzip",
}

# Making text of a page takes a second at most. It is Python's own work, of which one thread at a time does any: two
# leave the loop a large share of the interpreter.
_READERS = 2
PAGES_OF_ACCOUNT = 1
_readers = SharedThreads(_READERS, of_account=PAGES_OF_ACCOUNT, name="page")


class HttpFetch(Tool):
    """GET requests to public servers.

    Args:
        time_limit_s: for a whole fetch, redirects included.
        max_bytes: of the body, after unpacking; the rest is not read.
        max_characters: of the text that the model is given.
        allowed_private: (host, port) pairs that need not be public; for tests, never from configuration.
        resolver: how names become addresses.
    """

    def __init__(
        self,
        *,
        time_limit_s: float = 30.0,
        max_bytes: int = 5_000_000,
        max_characters: int = 100_000,
        allowed_private: Collection[tuple[str, int]] = (),
        resolver: Resolver = resolve,
    ) -> None:
        self._time_limit_s = time_limit_s
        self._max_bytes = max_bytes
        self._max_characters = max_characters
        self._allowed_private = allowed_private
        self._resolver = resolver

    @tool_function(idempotent=True, timeout_s=45)
    async def http_fetch(self, url: str) -> ToolResult:
        """Fetch a public web page or an API's answer by GET and return its text. HTML comes as plain text with the
        targets of its links. Only public http and https addresses can be reached.

        Args:
            url: the address, with http:// or https://.
        """
        httpx = await _httpx()
        try:
            async with asyncio.timeout(self._time_limit_s):
                return await self._fetch(httpx, url)
        except TimeoutError:
            return ToolResult(False, f"{url!r} did not answer completely within {self._time_limit_s:g} s.")
        except NotFollowedError as problem:
            return ToolResult(False, f"{problem}.")
        except RefusedAddressError as refused:
            return ToolResult(False, f"Refused: {refused.message}.")
        except body.UnreadableBodyError as error:
            return ToolResult(False, f"The content of {url!r} cannot be read: {error}.")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
            return ToolResult(False, f"{url!r} cannot be fetched: {error or type(error).__name__}.")

    async def _fetch(self, httpx: Any, url: str) -> ToolResult:
        guarded = await _guarded()
        client: httpx2.AsyncClient = guarded.client(
            allowed_private=self._allowed_private,
            timeout=httpx.Timeout(self._time_limit_s, connect=min(10.0, self._time_limit_s)),
            headers=_HEADERS,
            resolver=self._resolver,
        )
        async with client, following(client, httpx.URL(url)) as response:
            return await self._answer(response)

    async def _answer(self, response: "httpx2.Response") -> ToolResult:
        content_type = response.headers.get("content-type", "")
        body.require_text(content_type)
        data, truncated = await body.read(
            response.aiter_raw(65_536),
            content_encoding=response.headers.get("content-encoding", ""),
            max_bytes=self._max_bytes,
        )
        url = str(response.url)
        text, is_whole = await _readers.run(partial(_text, data, content_type, url, self._max_characters))
        answer = {
            "url": url,
            "status": response.status_code,
            "content_type": body.media_type(content_type),
            "text": text,
            "truncated": truncated or not is_whole,
        }
        return ToolResult(response.is_success, answer)


def _text(data: bytes, content_type: str, url: str, max_characters: int) -> tuple[str, bool]:
    """The text in ``data``, up to ``max_characters``, and whether that is all of it."""
    if body.media_type(content_type) in ("text/html", "application/xhtml+xml"):
        return html.text_of(body.decode(data, content_type), base_url=url, max_characters=max_characters)
    # No encoding takes more than four bytes for a character.
    read = data[: 4 * max_characters + 4]
    text = body.decode(read, content_type)
    return text[:max_characters], len(read) == len(data) and len(text) <= max_characters


async def _httpx() -> Any:
    """The HTTP client's module. It is imported when first needed, beside the event loop: it takes 0.1-0.3 s."""
    return await asyncio.to_thread(import_module, "httpx2")


async def _guarded() -> Any:
    return await asyncio.to_thread(import_module, "functions.runner.tools.network.guarded")
