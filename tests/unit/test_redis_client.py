"""A Redis that is away is the same error of ours at the first contact as at any other, and it is asked again."""

import socket

import pytest

from shared.errors import EventLogUnavailableError
from shared.stream.redis_client import Client


async def test_a_first_contact_that_fails_is_an_event_log_that_is_away() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client = Client(f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        for _ in range(2):
            with pytest.raises(EventLogUnavailableError):
                await client.get("key")
        await client.aclose()
