"""Which addresses tools may connect to."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.network import addresses
from shared.network.addresses import (
    LOOKUPS_OF_ACCOUNT,
    Address,
    RefusedAddressError,
    is_public,
    require_public,
    resolve,
)
from shared.shares import on_share_of

PRIVATE = re.findall(
    r"\S+",
    """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 169.254.169.254 169.254.170.2
172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
168.63.129.16 224.0.0.1 224.0.1.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe::1 2001::1 2001:db8::1 100::1 fc00::1
fd00:ec2::254 fe80::1 fec0::1 ff02::1 ff0e::1
""",
)
PUBLIC = re.findall(
    r"\S+",
    """
1.1.1.1 8.8.8.8 93.184.215.14 172.32.0.1 192.167.255.255 2606:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8
64:ff9b::808:808 2002:808:808::1
""",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_on_the_public_internet_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(RefusedAddressError, match="'host'"):
        require_public("host", [ip_address("8.8.8.8"), ip_address(address)])


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ip_address(address))
    require_public("host", [ip_address(address)])


@given(st.ip_addresses(v=4))
def test_an_embedded_address_counts_as_the_address_itself(address: IPv4Address) -> None:
    number = int(address)
    for embedding in (
        IPv6Address("::ffff:0:0"),
        IPv6Address("64:ff9b::"),
        IPv6Address("::ffff:0:0:0"),
    ):
        assert is_public(IPv6Address(int(embedding) | number)) == is_public(address)
    assert is_public(IPv6Address(int(IPv6Address("2002::")) | number << 80)) == is_public(address)


LOCAL = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "224.0.0.0/4",
)
LOCAL_6 = ("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "2001:db8::/32", "64:ff9b:1::/48", "::/96")


@pytest.mark.parametrize("network", [*LOCAL, *LOCAL_6])
@given(data=st.data())
def test_no_address_of_a_local_network_is_public(network: str, data: st.DataObject) -> None:
    assert not is_public(data.draw(st.ip_addresses(network=network)))


@pytest.mark.parametrize("written", ["127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.1", "localhost", "::1"])
async def test_however_it_is_written_the_local_host_is_found_out(written: str) -> None:
    found = await resolve(written, 80)
    assert found
    assert all(address.is_loopback for address in found)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Released for each lookup that begins of "slow.example", which is not answered before the test ends."""
    begun, answered = threading.Semaphore(0), threading.Event()
    real = socket.getaddrinfo

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "slow.example":
            begun.release()
            answered.wait(60)
            raise OSError(host)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(addresses, "LONGEST_LOOKUP_S", 2.0)
    try:
        yield begun
    finally:
        answered.set()


async def _looked_up(host: str, account_id: str) -> list[Address]:
    with on_share_of(account_id):
        return await resolve(host, 80)


async def test_name_servers_that_never_answer_hold_up_nothing_but_their_own_lookups(asked: threading.Semaphore) -> None:
    # GIVEN more lookups than the loop has threads
    waiting = [asyncio.create_task(_looked_up("slow.example", f"account {number % 3}")) for number in range(40)]
    with ThreadPoolExecutor(1) as beside:
        for _ in waiting:
            assert await asyncio.get_running_loop().run_in_executor(beside, asked.acquire, True, 30)
    # THEN the loop's are free, and other names resolve
    assert await resolve("localhost", 80)
    # AND nobody waits for them without an end
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in ended} == {TimeoutError}


async def test_an_account_whose_name_servers_never_answer_keeps_no_other_account_from_looking_up(
    asked: threading.Semaphore,
) -> None:
    # GIVEN an account that has looked up a thousand such names, and has stopped waiting for them
    for _ in range(2):
        waiting = [asyncio.create_task(_looked_up("slow.example", "hostile")) for _ in range(500)]
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(error) for error in ended} == {TimeoutError}
    # THEN it has its share of the threads, and waits for them itself
    for _ in range(LOOKUPS_OF_ACCOUNT):
        assert asked.acquire(blocking=False)
    assert not asked.acquire(blocking=False)
    with pytest.raises(TimeoutError):
        await _looked_up("localhost", "hostile")
    # AND another account does not
    assert await _looked_up("localhost", "another")
