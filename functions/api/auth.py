"""Who is calling: JSON Web Tokens, of a shared HS256 secret or an OIDC issuer's published keys; or API keys."""

import asyncio
import json
import time
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from uuid import UUID

import aiohttp
import jwt

from functions.api.keys import keys
from shared.aws.secrets import secret
from shared.domain import SCOPES, Scope
from shared.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from shared.settings import AuthSettings, auth_settings
from shared.telemetry import logger

# An issuer's keys are fetched again after an hour, and at once for a key id not seen yet, but never twice in ten
# seconds.
_KEYS_LIFE_S = 3600.0
_KEYS_PAUSE_S = 10.0
_LEEWAY_S = 10.0

# When a credential ends that does not end.
NEVER_S = 2.0**32
# The end of the year 9999, beyond which no library knows times.
_LATEST_END = 253402300799.0

# An account is named by at most so many characters (OpenID Connect Core, 2: ``sub``).
_LONGEST_SUBJECT = 255

# Pinned: a token never chooses how it is verified beyond these. Asymmetric ones are looked up in the JWKS only, so a
# public key can never be taken for an HS256 secret.
_ASYMMETRIC = ("RS256", "ES256", "PS256", "EdDSA")


@dataclass(frozen=True)
class Principal:
    """An authenticated caller: until when (epoch, s), what it may do, and its API key if it has not sent a token."""

    account_id: str
    expires_at: float
    scopes: frozenset[Scope] = SCOPES
    key_id: UUID | None = None

    def require(self, scope: Scope) -> None:
        """See to it that the credential allows ``scope``.

        Raises:
            ForbiddenError: it does not.
        """
        check_scope(scope, self.scopes)


def check_scope(scope: Scope, allowed: frozenset[Scope]) -> None:
    """See to it that ``scope`` is among what a credential allows.

    Raises:
        ForbiddenError: it is not.
    """
    if scope not in allowed:
        raise ForbiddenError(f"this API key may {' and '.join(sorted(allowed))}: this needs one that may {scope}")


class KeysUnavailableError(UnavailableError):
    """The token issuer's keys cannot be fetched; try again shortly."""


class JwksKeys:
    """The keys published at ``url``, cached; they rotate without a restart."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def get(self, key_id: str) -> jwt.PyJWK | None:
        """The key, or ``None`` if the issuer does not publish it.

        Raises:
            KeysUnavailableError: the issuer's keys could not be fetched, now or lately, and there are none from before.
        """
        if self._wanted(key_id):
            async with self._fetching:
                if self._wanted(key_id):
                    await self._fetch()
                    # After a failure too: requests must not queue up for attempts of their own while it is away.
                    self._asked_at = time.monotonic()
        if not self._keys:
            raise KeysUnavailableError
        return self._keys.get(key_id)

    def _wanted(self, key_id: str) -> bool:
        now = time.monotonic()
        old = key_id not in self._keys or now - self._fetched_at > _KEYS_LIFE_S
        return old and now - self._asked_at > _KEYS_PAUSE_S

    async def _fetch(self) -> None:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(self._url) as answer,
            ):
                answer.raise_for_status()
                published: Any = await answer.json(content_type=None)
            if not isinstance(published, dict):
                raise ValueError("a JWK set is a JSON object")
            keys = jwt.PyJWKSet.from_dict(cast("dict[str, Any]", published)).keys
        except (aiohttp.ClientError, TimeoutError, ValueError, jwt.PyJWTError):
            logger.warning("the token issuer's keys cannot be fetched; the ones we have stay good", exc_info=True)
            return
        self._keys = {key.key_id: key for key in keys if key.key_id is not None}
        self._fetched_at = time.monotonic()


class Authenticator:
    """Turns what a client sends into a :class:`Principal`: a token, or an API key."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._jwks = JwksKeys(settings.jwks_url) if settings.jwks_url else None

    async def prepare(self) -> None:
        """Fetch what every token will need."""
        if self._settings.auth_secret_arn:
            await secret(self._settings.auth_secret_arn)

    async def authenticate(self, authorization: str | None, api_key: str | None = None) -> Principal:
        """Verify a ``Bearer`` token; without an ``Authorization`` header, an API key.

        Raises:
            UnauthenticatedError: it is missing, malformed, expired, of another issuer or audience, or not signed by
                a key that is trusted here; the API key is unknown, expired or revoked.
            KeysUnavailableError: the issuer's keys are out of reach.
            DatabaseUnavailableError: the API key cannot be looked up.
        """
        if authorization is None and api_key is not None:
            key = await keys().of_secret(api_key)
            expires_at = NEVER_S if key.expires_at is None else key.expires_at.timestamp()
            return Principal(key.account_id, expires_at, key.scopes, key.key_id)
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthenticatedError(
                "send a token in the header 'Authorization: Bearer <token>', or an API key in 'x-api-key'"
            )
        token = token.strip()
        try:
            key, algorithms = await self._key(jwt.get_unverified_header(token))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=self._settings.jwt_audience or None,
                issuer=self._settings.jwt_issuer or None,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "sub"], "verify_aud": bool(self._settings.jwt_audience)},
            )
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(f"the token is not valid: {error}") from error
        except (ValueError, OverflowError, TypeError, RecursionError) as error:
            # Signed by whom we trust, and still of a form that nobody has thought of.
            raise UnauthenticatedError("the token is not valid: its claims cannot be read") from error
        return Principal(account_id=_subject(claims["sub"]), expires_at=_end(claims["exp"]))

    async def _key(self, header: dict[str, Any]) -> tuple[str | jwt.PyJWK, list[str]]:
        algorithm = header.get("alg")
        if algorithm == "HS256" and self._settings.auth_secret_arn:
            shared = json.loads(await secret(self._settings.auth_secret_arn)).get("hs256_secret")
            if shared:
                return shared, ["HS256"]
        if algorithm in _ASYMMETRIC and self._jwks is not None:
            key = await self._jwks.get(str(header.get("kid")))
            if key is None:
                raise UnauthenticatedError("the token is not valid: its issuer does not publish the key it names")
            return key, [algorithm]
        raise UnauthenticatedError(f"the token is not valid: algorithm {algorithm!r} is not accepted")


def _subject(found: object) -> str:
    """The account that a verified token names: text that PostgreSQL can hold and a log line can show."""
    if (
        not isinstance(found, str)
        or not found.strip()
        or len(found) > _LONGEST_SUBJECT
        # Controls, and halves of a surrogate pair.
        or any(unicodedata.category(character) in {"Cc", "Cs"} for character in found)
    ):
        raise UnauthenticatedError(
            f"the token is not valid: its 'sub' must be text of 1 to {_LONGEST_SUBJECT} characters without controls"
        )
    return found


def _end(found: Any) -> float:
    """When a verified token ends (epoch, s); one that ends at no time that can be counted is refused."""
    try:
        ends_at = float(found)
    except (OverflowError, TypeError, ValueError):
        ends_at = float("inf")
    if not ends_at <= _LATEST_END:
        raise UnauthenticatedError("the token is not valid: its 'exp' is no time")
    return ends_at


@cache
def authenticator() -> Authenticator:
    """The process's authenticator."""
    return Authenticator(auth_settings())
