"""Which addresses tools and webhooks may connect to: those of the public internet, and no others."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from shared.errors import SunaError
from shared.shares import Shares

LONGEST_LOOKUP_S = 5.0
# Above what a process serves: accounts, times the share of each. The loop's own threads are for what is short.
_LOOKUPS = 512
LOOKUPS_OF_ACCOUNT = 16

type Address = IPv4Address | IPv6Address
type Resolver = Callable[[str, int], Awaitable[list[Address]]]

# IPv6 addresses that stand for an IPv4 address, with the bit it ends at: what counts is where the packet goes.
# RFC 4291 2.5.5.2 (mapped), RFC 6052 (NAT64, what DNS64 answers), RFC 3056 (6to4), RFC 2765 (translated).
_EMBEDDING: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
    (IPv6Network("::ffff:0:0:0/96"), 0),
)
# Global by IANA's registries, and still nobody's public server: 6to4 relays, and the platform service of Azure.
_REFUSED = tuple(ip_network(network) for network in ("192.88.99.0/24", "168.63.129.16/32"))


class RefusedAddressError(SunaError):
    """The address is not on the public internet, so it may not be reached."""


def is_public(address: Address) -> bool:
    """Whether ``address`` is a unicast address of the public internet.

    Not public are private, loopback, link-local (with the clouds' metadata services), shared (RFC 6598), multicast,
    unspecified, documentation and reserved addresses, and IPv6 addresses that stand for such an IPv4 address.
    """
    if isinstance(address, IPv6Address):
        for network, shift in _EMBEDDING:
            if address in network:
                return is_public(IPv4Address((int(address) >> shift) & 0xFFFFFFFF))
        if address.is_site_local:
            return False
    if any(address in network for network in _REFUSED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def require_public(host: str, addresses: list[Address]) -> None:
    """Check every address that ``host`` has: one private among them is enough to refuse it.

    Raises:
        RefusedAddressError: names the host and the address.
    """
    for address in addresses:
        if not is_public(address):
            raise RefusedAddressError(
                f"{host!r} is at {address}, which is not on the public internet: only public servers may be reached"
            )


_shares = Shares(LOOKUPS_OF_ACCOUNT)
_account: ContextVar[str] = ContextVar("account", default="")


@contextmanager
def looking_up_for(account_id: str) -> Generator[None]:
    """Have names be looked up on the account's share, ``LOOKUPS_OF_ACCOUNT`` at a time."""
    before = _account.set(account_id)
    try:
        yield
    finally:
        _account.reset(before)


@cache
def _lookups() -> ThreadPoolExecutor:
    """Threads for the names that tenants choose: a lookup cannot be ended, and their name servers may never answer."""
    return ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="lookup")


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of ``host`` in the system's order, each once; a literal address is its own.

    A lookup is one of the account's (:func:`looking_up_for`) until its thread ends, whoever awaits it still.

    Raises:
        OSError: the name does not resolve, or not within ``LONGEST_LOOKUP_S``.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    share = _shares.of(_account.get())
    async with asyncio.timeout(LONGEST_LOOKUP_S):
        await share.acquire()
        lookup = asyncio.get_running_loop().run_in_executor(_lookups(), look_up)
        lookup.add_done_callback(partial(_ended, share))
        found = await asyncio.shield(lookup)
    # A zone ("%eth0") belongs to link-local addresses only, which are refused.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _ended(share: asyncio.Semaphore, lookup: "asyncio.Future[Any]") -> None:
    share.release()
    if not lookup.cancelled():
        # Heard: whoever asked may have gone.
        lookup.exception()
