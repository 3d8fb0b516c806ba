"""Which addresses tools and webhooks may connect to: those of the public internet, and no others."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from shared.errors import SunaError
from shared.shares import SharedThreads

LONGEST_LOOKUP_S = 5.0
# Above what a process serves: accounts, times the share of each.
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


# A lookup cannot be ended, and tenants' name servers may never answer.
_lookups = SharedThreads(_LOOKUPS, of_account=LOOKUPS_OF_ACCOUNT, name="lookup")


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of ``host`` in the system's order, each once; a literal address is its own.

    A lookup is one of the account's (:func:`shared.shares.on_share_of`) until its thread ends, whoever awaits it still.

    Raises:
        OSError: the name does not resolve, or not within ``LONGEST_LOOKUP_S``.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    async with asyncio.timeout(LONGEST_LOOKUP_S):
        found = await _lookups.run(look_up)
    # A zone ("%eth0") belongs to link-local addresses only, which are refused.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
