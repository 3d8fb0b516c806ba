"""Images at addresses that messages name: fetched here and shown as data, by nobody else.

For some providers litellm fetches such an address itself, on the event loop and from within our network; others fetch
it, or refuse it. A guarded client reaches public addresses only, and takes no more bytes and time than it may.
"""

import asyncio
from collections.abc import Collection
from importlib import import_module
from typing import Any

from functions.runner.tools.network.following import NotFollowedError, following
from shared.network.addresses import RefusedAddressError, Resolver, resolve

TIME_LIMIT_S = 10.0
_HEADERS = {"User-Agent": "suna-serverless (an assistant, on behalf of its user)", "Accept": "image/*"}


class NotShownError(Exception):
    """Why an image cannot be shown, as a part of a sentence."""


async def fetch(
    url: str,
    *,
    max_bytes: int,
    allowed_private: Collection[tuple[str, int]] = (),
    resolver: Resolver = resolve,
    time_limit_s: float = TIME_LIMIT_S,
) -> bytes:
    """What is at an address.

    ``allowed_private``: (host, port) pairs that need not be public; for tests, never from configuration.

    Raises:
        NotShownError: it is not public, too large or too slow, or there is no such thing.
    """
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
            return await response.aread()
    except (TimeoutError, httpx.TimeoutException):
        raise NotShownError(f"it did not come within {time_limit_s:g} s") from None
    except (NotFollowedError, RefusedAddressError) as error:
        raise NotShownError("its address is not fetched") from error
    except httpx.StreamError as error:
        raise NotShownError("it is too large") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
        raise NotShownError("it cannot be fetched") from error
