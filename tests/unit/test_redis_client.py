"""A Redis that is away is the same error of ours at the first contact as at any other, and it is asked again."""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from shared.errors import EventLogUnavailableError
from shared.stream import redis_client
from shared.stream.redis_client import Client, found_away_once
from tests.silent import tries_at


async def test_a_first_contact_that_fails_is_an_event_log_that_is_away() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client = Client(f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        for _ in range(2):
            with pytest.raises(EventLogUnavailableError):
                await client.get("key")
        await client.aclose()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
async def client(silent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(redis_client, "_DEADLINE_S", 0.1)
    client = Client(f"redis://127.0.0.1:{silent.getsockname()[1]}")
    yield client
    await client.aclose()


async def test_a_silent_redis_is_tried_once_for_a_command(silent: socket.socket, client: Client) -> None:
    with pytest.raises(EventLogUnavailableError):
        await client.get("key")
    assert tries_at(silent) == 1


async def test_in_a_batch_redis_is_found_away_once(silent: socket.socket, client: Client) -> None:
    with found_away_once():
        for _ in range(3):
            with pytest.raises(EventLogUnavailableError):
                await client.get("key")
        assert tries_at(silent) == 1
    # Whoever comes later looks anew.
    with found_away_once(), pytest.raises(EventLogUnavailableError):
        await client.get("key")
    with pytest.raises(EventLogUnavailableError):
        await client.get("key")
    assert tries_at(silent) == 2
