"""An HTTP client that connects only to addresses that were checked.

The check stands where the connection is made: a name is resolved once, all its addresses are checked, and the socket
is opened to one of those addresses. So it holds for every redirect and every new connection, and a name that resolves
differently the next time (DNS rebinding) gains nothing. TLS still verifies the name.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from functools import cache
from typing import Any, cast

import anyio
import httpcore2
import httpx2

from shared.network.addresses import Resolver, require_public, resolve
from shared.values import ValueCount

# Of a name's addresses, as many are tried.
_TRIED = 4
# A client that parses what it reads makes objects of so many bytes at once; then others have a turn.
_SLICE = 8_192


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for httpcore.

    ``allowed_private``: (host as the URL has it, port) pairs that are not checked: a server on this machine, in tests
    and in local development.
    """

    def __init__(self, *, allowed_private: Collection[tuple[str, int]] = (), resolver: Resolver = resolve) -> None:
        self._allowed = frozenset(allowed_private)
        self._resolve = resolver
        self._backend = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())
        self._opened: list[httpcore2.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers.

        Raises:
            RefusedAddressError: ``host`` has an address that is not public.
            httpcore2.ConnectError: it does not resolve, or no address answers.
            httpcore2.ConnectTimeout: the same, within ``timeout`` seconds.
        """
        try:
            with anyio.fail_after(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host!r} was not resolved within {timeout} s") from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host!r} cannot be resolved: {error}") from error
        if (host, port) not in self._allowed:
            require_public(host, addresses)
        failure: Exception = httpcore2.ConnectError(f"{host!r} has no address")
        tried = addresses[:_TRIED]
        for address in tried:
            try:
                stream = await self._backend.connect_tcp(
                    str(address),
                    port,
                    timeout=None if timeout is None else timeout / len(tried),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                self._opened.append(stream)
                return stream
        raise failure

    async def aclose(self) -> None:
        """Close every connection that was opened: httpcore forgets one whose TLS handshake is cancelled."""
        opened, self._opened = self._opened, []
        for stream in opened:
            await stream.aclose()

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Never: a socket of this machine is not on the internet."""
        raise httpcore2.ConnectError(f"{path!r} is a local socket")

    async def sleep(self, seconds: float) -> None:
        """Wait, between httpcore's retries."""
        await anyio.sleep(seconds)


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx's transport with connections of a :class:`GuardedBackend`.

    ``max_response_bytes`` is for clients that read whole bodies: a longer body ends in an error, and so does a packed
    one, of which nobody knows how long it is.

    ``max_values`` is for clients that make objects of what they read, on the loop: JSON, or a server-sent event, of
    more values ends in an error before anybody parses it, and others have turns while it is read.
    """

    def __init__(
        self, backend: GuardedBackend, *, max_response_bytes: int | None = None, max_values: int | None = None
    ) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._backend = backend
        self._max_response_bytes = max_response_bytes
        self._max_values = max_values
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_tls(), max_connections=20, keepalive_expiry=30.0, network_backend=backend
        )

    async def __aexit__(self, *error: Any) -> None:
        """Leave the pool, and no connection open."""
        await super().__aexit__(*error)
        await self._backend.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await super().aclose()
        await self._backend.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request``; the body is bounded while it is read."""
        response = await super().handle_async_request(request)
        if self._max_response_bytes is not None:
            if response.headers.get("content-encoding", "identity") != "identity":
                await response.aclose()
                raise httpx2.RemoteProtocolError("the response is packed, which was not asked for", request=request)
            response.stream = _Bounded(cast("httpx2.AsyncByteStream", response.stream), self._max_response_bytes)
        if self._max_values is not None:
            # In another encoding, which a client takes from the type, there are other values than those counted.
            response.encoding = "utf-8"
            events = response.headers.get("content-type", "").lower().startswith("text/event-stream")
            response.stream = _Counted(cast("httpx2.AsyncByteStream", response.stream), self._max_values, events=events)
        return response


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends in an error once it is longer than ``max_bytes``."""

    def __init__(self, stream: httpx2.AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for part in self._stream:
            length += len(part)
            if length > self._max_bytes:
                raise httpx2.StreamError(f"the response is longer than {self._max_bytes:,} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Counted(httpx2.AsyncByteStream):
    """A body of JSON that ends in an error once it has more than ``max_values`` values.

    Of server-sent events each may have as many. It comes in slices, between which others have their turns: of many
    small events each is parsed, too.
    """

    def __init__(self, stream: httpx2.AsyncByteStream, max_values: int, *, events: bool) -> None:
        self._stream = stream
        self._max_values = max_values
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        values = ValueCount(events=self._events)
        async for part in self._stream:
            for at in range(0, len(part), _SLICE):
                some = part[at : at + _SLICE]
                if values.take(some) > self._max_values:
                    # Each kind is what clients expect of such a response.
                    broken = httpx2.SSEError if self._events else httpx2.StreamError
                    raise broken(f"the response has more than {self._max_values:,} values")
                yield some
                await asyncio.sleep(0)

    async def aclose(self) -> None:
        await self._stream.aclose()


def client(
    *,
    allowed_private: Collection[tuple[str, int]] = (),
    timeout: httpx2.Timeout,
    headers: Mapping[str, str] | None = None,
    resolver: Resolver = resolve,
    max_response_bytes: int | None = None,
    max_values: int | None = None,
) -> httpx2.AsyncClient:
    """A client whose connections are checked. It follows no redirects and ignores proxies of the environment, which
    would connect in its place."""
    backend = GuardedBackend(allowed_private=allowed_private, resolver=resolver)
    return httpx2.AsyncClient(
        transport=GuardedTransport(backend, max_response_bytes=max_response_bytes, max_values=max_values),
        timeout=timeout,
        headers=dict(headers or {}),
        trust_env=False,
        follow_redirects=False,
    )


@cache
def _tls() -> ssl.SSLContext:
    """The process's TLS context: reading the certificates takes tens of milliseconds."""
    return httpx2.create_ssl_context(trust_env=False)
