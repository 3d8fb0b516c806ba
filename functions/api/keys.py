"""API keys: secrets that stand for an account. Where they are sent, and what they may do, is the edge's business.

What a look-up finds counts for 30 seconds in the process that asked: a revoked key is good for that long at most, and
opens no connection from the start. An expired one is good for nothing at once. Secrets are never logged; in the
database and here there are only their hashes.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from functions.api.recent import Recent
from shared.database import api_keys, connection
from shared.database.api_keys import ApiKey
from shared.errors import NotFoundError, UnauthenticatedError

LIFE_S = 30.0
PREFIX = "sk_suna_"

_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_secret() -> str:
    """A secret of 256 random bits; its prefix lets scanners of source code find one that has leaked."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is kept of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode()).digest()


@dataclass(frozen=True)
class _Found:
    """What a look-up came to: nothing, too."""

    key: ApiKey | None


class ApiKeys:
    """Looks keys up, by their secrets or their ids."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._by_digest: Recent[bytes, _Found] = Recent(life_s=LIFE_S, clock=clock)
        self._by_id: Recent[UUID, _Found] = Recent(life_s=LIFE_S, clock=clock)
        self._wall_clock = wall_clock

    async def of_secret(self, secret: str) -> ApiKey:
        """The key with this secret; in the database it is noted that it was used.

        Raises:
            UnauthenticatedError: there is none, or it is good no more.
            DatabaseUnavailableError: PostgreSQL is away, and nobody has asked for the key lately.
        """
        if _FORM.fullmatch(secret) is None:
            raise UnauthenticatedError(f"the API key is not valid: it is {PREFIX!r} and 43 characters")
        sha256 = digest(secret)
        found = self._by_digest.get(sha256)
        if found is None:
            async with connection() as taken:
                found = self._by_digest.put(sha256, _Found(await api_keys.use(taken, sha256=sha256)))
        return self._good(found)

    async def check(self, key_id: UUID, *, account_id: str, fresh: bool = False) -> None:
        """See to it that what was opened with a key may go on; ``fresh``: as the database has it now, for once.

        Raises:
            UnauthenticatedError: the key is good no more.
            DatabaseUnavailableError: as above.
        """
        found = self._by_id.get(key_id)
        if found is None or fresh:
            async with connection() as taken:
                try:
                    found = _Found(await api_keys.get(taken, key_id=key_id, account_id=account_id))
                except NotFoundError:
                    found = _Found(None)
            if not fresh:
                self._by_id.put(key_id, found)
        self._good(found)

    def _good(self, found: _Found) -> ApiKey:
        key = found.key
        if key is None:
            raise UnauthenticatedError("the API key is not valid: there is none like it")
        if key.revoked_at is not None:
            raise UnauthenticatedError("the API key has been revoked")
        if key.expires_at is not None and key.expires_at.timestamp() <= self._wall_clock():
            raise UnauthenticatedError("the API key has expired")
        return key


@cache
def keys() -> ApiKeys:
    """The process's."""
    return ApiKeys()
