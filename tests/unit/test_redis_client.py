"""A Redis that cannot be reached is the same error at the first contact as at any other, and one of ours."""

import socket

import pytest

from shared.errors import EventLogUnavailableError
from shared.settings import stream_settings
from shared.stream import redis_client


async def test_a_first_contact_that_fails_is_an_event_log_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        for name in ("SUBSCRIPTIONS_TABLE", "CONNECTIONS_URL"):
            monkeypatch.setenv(name, "none")
        stream_settings.cache_clear()
        client = redis_client.redis.__wrapped__()
        try:
            with pytest.raises(EventLogUnavailableError):
                await client.get("key")
        finally:
            await client.aclose()
            stream_settings.cache_clear()
