"""A Redis that cannot be reached is the same error at the first contact as at any other."""

import socket

import pytest

from shared.settings import stream_settings
from shared.stream import redis_client
from shared.stream.redis_client import RedisError


async def test_a_first_contact_that_fails_is_a_redis_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        for name in ("SUBSCRIPTIONS_TABLE", "CONNECTIONS_URL"):
            monkeypatch.setenv(name, "none")
        stream_settings.cache_clear()
        client = redis_client.redis.__wrapped__()
        try:
            with pytest.raises(RedisError):
                await client.get("key")
        finally:
            await client.aclose()
            stream_settings.cache_clear()
