"""Listings of MCP servers, which spare a run the connection."""

import gc
import weakref

import pytest

from functions.runner.tools.builtin.mcp import LISTING_TTL_S, ListedTool, Listings, McpServer, McpTools


def server(name: str = "a", *, url: str = "https://example.org/mcp", token: str = "") -> McpServer:
    return McpServer(name=name, url=url, headers={"Authorization": token})


def tool(name: str, *, size: int = 20) -> ListedTool:
    return ListedTool(name=name, description=name, parameters={"type": "object"}, idempotent=True, size=size)


def test_a_listing_is_kept_for_a_while() -> None:
    now = 0.0
    listings = Listings(clock=lambda: now)
    listings.put(server(), (tool("x"),))
    now = LISTING_TTL_S - 1
    assert listings.get(server()) == (tool("x"),)
    now = LISTING_TTL_S + 1
    assert listings.get(server()) is None


def test_a_listing_belongs_to_an_address_and_its_credentials() -> None:
    listings = Listings()
    listings.put(server(token="one"), (tool("x"),))
    assert listings.get(server(token="two")) is None
    assert listings.get(server(url="https://example.org/other", token="one")) is None
    assert listings.get(server("b", token="one")) == (tool("x"),)


def test_only_so_many_listings_are_kept() -> None:
    listings = Listings()
    for number in range(1_000):
        listings.put(server(token=str(number)), ())
    kept = [number for number in range(1_000) if listings.get(server(token=str(number))) is not None]
    assert kept == list(range(1_000 - 256, 1_000))


def test_large_listings_take_no_more_room_than_there_is() -> None:
    listings = Listings()
    for number in range(100):
        listings.put(server(token=str(number)), tuple(tool(f"x{one}", size=64_000) for one in range(7)))
    kept = [number for number in range(100) if listings.get(server(token=str(number))) is not None]
    assert kept == list(range(100 - 8, 100))
    # One that would take the room of many is listed again by each run.
    listings.put(server(), tuple(tool(f"x{one}", size=64_000) for one in range(8)))
    assert listings.get(server()) is None
    assert listings.get(server(token="99")) is not None


def test_what_is_not_fresh_takes_no_room() -> None:
    now, listings = 0.0, Listings(clock=lambda: now)
    listing = (tool("x"),)
    left = weakref.ref(listing[0])
    listings.put(server(), listing)
    del listing
    now = LISTING_TTL_S + 1
    listings.put(server(token="another"), ())
    gc.collect()
    assert left() is None


@pytest.mark.parametrize("names", [("a", "a__b")])
async def test_two_tools_that_would_have_one_name_are_told(names: tuple[str, str]) -> None:
    first, second = (server(name, token=name) for name in names)
    listings = Listings()
    listings.put(first, (tool("b__c"), tool("d")))
    listings.put(second, (tool("c"),))
    async with McpTools([first, second], listings=listings) as tools:
        assert [function.name for function in await tools.functions()] == ["a__b__c", "a__d"]
        assert tools.problems == {"a__b": "its tool 'c' is left out: there is another 'a__b__c'"}
