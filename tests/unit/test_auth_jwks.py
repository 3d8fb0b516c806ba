"""Tokens signed by an issuer whose keys are published: real HTTP, real keys."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import algorithms

from functions.api import auth
from functions.api.auth import Authenticator, KeysUnavailableError
from shared.errors import UnauthenticatedError
from shared.settings import AuthSettings

RSA_KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("one", "two")}


@dataclass
class Issuer:
    """An issuer's key server: what it publishes, whether it answers, and how often it was asked."""

    published: list[dict[str, Any]] = field(default_factory=list)
    status: HTTPStatus = HTTPStatus.OK
    body: str | None = None
    asked: int = 0
    url: str = ""

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.sleep(0)  # so that callers who come at the same time do meet
        body = json.dumps({"keys": self.published}) if self.body is None else self.body
        return web.Response(status=self.status, text=body)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer that publishes the key "one"."""
    found = Issuer(published=[_public("one")])
    app = web.Application()
    app.router.add_get("/jwks.json", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    yield found
    await runner.cleanup()


@pytest.fixture
def authenticator(issuer: Issuer) -> Authenticator:
    return Authenticator(AuthSettings(jwks_url=issuer.url, jwt_audience="suna"))


class _Clock:
    """The monotonic clock of ``functions.api.auth``, put forward by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(auth, "time", clock)
    return clock


@contextmanager
def _away(issuer: Issuer) -> Iterator[None]:
    issuer.status = HTTPStatus.SERVICE_UNAVAILABLE
    yield
    issuer.status = HTTPStatus.OK


def _public(name: str) -> dict[str, Any]:
    public = algorithms.RSAAlgorithm.to_jwk(RSA_KEYS[name].public_key(), as_dict=True)
    return {**public, "kid": name, "alg": "RS256", "use": "sig"}


def _header(signed_by: str, *, kid: str | None = None) -> str:
    claims = {"sub": "account", "exp": time.time() + 60, "aud": "suna"}
    return "Bearer " + jwt.encode(claims, RSA_KEYS[signed_by], "RS256", headers={"kid": kid or signed_by})


async def test_a_token_signed_by_a_published_key_is_good(authenticator: Authenticator) -> None:
    assert (await authenticator.authenticate(_header("one"))).account_id == "account"


async def test_es256_works_too(authenticator: Authenticator, issuer: Issuer) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    issuer.published.append({**public, "kid": "curve"})
    token = jwt.encode({"sub": "a", "exp": time.time() + 60, "aud": "suna"}, key, "ES256", headers={"kid": "curve"})
    assert (await authenticator.authenticate(f"Bearer {token}")).account_id == "a"


async def test_keys_are_fetched_once_and_kept(authenticator: Authenticator, issuer: Issuer) -> None:
    for _ in range(3):
        await authenticator.authenticate(_header("one"))
    assert issuer.asked == 1


async def test_concurrent_first_requests_fetch_the_keys_once(authenticator: Authenticator, issuer: Issuer) -> None:
    callers = await asyncio.gather(*(authenticator.authenticate(_header("one")) for _ in range(20)))
    assert len(callers) == 20
    assert issuer.asked == 1


async def test_a_rotated_key_is_found_without_a_restart(
    authenticator: Authenticator, issuer: Issuer, clock: _Clock
) -> None:
    # GIVEN a process that knows the old key
    await authenticator.authenticate(_header("one"))
    # WHEN the issuer begins to sign with a new one
    issuer.published = [_public("one"), _public("two")]
    clock.ahead_s = 11
    # THEN its first token makes the process look again, and tokens of the old key are still good
    assert (await authenticator.authenticate(_header("two"))).account_id == "account"
    assert (await authenticator.authenticate(_header("one"))).account_id == "account"
    assert issuer.asked == 2


async def test_a_withdrawn_key_is_forgotten_after_an_hour(
    authenticator: Authenticator, issuer: Issuer, clock: _Clock
) -> None:
    await authenticator.authenticate(_header("one"))
    issuer.published = [_public("two")]
    clock.ahead_s = 3601
    with pytest.raises(UnauthenticatedError, match="does not publish the key"):
        await authenticator.authenticate(_header("one"))


async def test_unknown_key_ids_do_not_flood_the_issuer(
    authenticator: Authenticator, issuer: Issuer, clock: _Clock
) -> None:
    await authenticator.authenticate(_header("one"))
    clock.ahead_s = 11
    for number in range(20):
        with pytest.raises(UnauthenticatedError, match="does not publish the key"):
            await authenticator.authenticate(_header("one", kid=f"invented-{number}"))
    assert issuer.asked == 2


async def test_a_published_key_does_not_vouch_for_another(authenticator: Authenticator) -> None:
    with pytest.raises(UnauthenticatedError, match="Signature"):
        await authenticator.authenticate(_header("two", kid="one"))


async def test_a_published_key_does_not_vouch_for_another_algorithm(authenticator: Authenticator) -> None:
    claims = {"sub": "account", "exp": time.time() + 60, "aud": "suna"}
    token = jwt.encode(claims, RSA_KEYS["one"], "PS256", headers={"kid": "one"})
    with pytest.raises(UnauthenticatedError):
        await authenticator.authenticate(f"Bearer {token}")


async def test_an_issuer_that_was_never_reached_is_our_fault_and_not_the_tokens(
    authenticator: Authenticator, issuer: Issuer, clock: _Clock
) -> None:
    with _away(issuer):
        for _ in range(3):
            with pytest.raises(KeysUnavailableError):
                await authenticator.authenticate(_header("one"))
    # It is asked again soon after it is back.
    clock.ahead_s = 11
    assert (await authenticator.authenticate(_header("one"))).account_id == "account"


async def test_known_keys_stay_good_while_the_issuer_is_away(
    authenticator: Authenticator, issuer: Issuer, clock: _Clock
) -> None:
    await authenticator.authenticate(_header("one"))
    clock.ahead_s = 3601
    with _away(issuer):
        for _ in range(5):
            assert (await authenticator.authenticate(_header("one"))).account_id == "account"
    # Each attempt may take seconds: requests must not queue up for one of their own.
    assert issuer.asked == 2


async def test_nobody_listening_is_told_apart_from_a_bad_token() -> None:
    authenticator = Authenticator(AuthSettings(jwks_url="http://127.0.0.1:1/jwks.json", jwt_audience="suna"))
    with pytest.raises(KeysUnavailableError):
        await authenticator.authenticate(_header("one"))


@pytest.mark.parametrize("body", ["", "<html>", "[]", "7", '{"keys": 7}', "{}", '{"keys": []}'])
async def test_an_issuer_that_publishes_no_keys_lets_nobody_in(
    authenticator: Authenticator, issuer: Issuer, body: str
) -> None:
    issuer.body = body
    with pytest.raises((KeysUnavailableError, UnauthenticatedError)):
        await authenticator.authenticate(_header("one"))
