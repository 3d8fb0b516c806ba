"""Sign-in at the local issuer, as a browser and a page do it."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
from aiohttp import web

from suna_localstack.model.issuer import AUDIENCE, ISSUER, Issuer

VERIFIER = "a-verifier-of-at-least-forty-three-characters-x"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PAGE = "http://127.0.0.1:4510/app/"
REQUEST = {
    "response_type": "code",
    "client_id": "suna",
    "redirect_uri": PAGE,
    "state": "s",
    "nonce": "n",
    "scope": "openid",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(Issuer(tmp_path / "issuer.pem").routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def code_for(session: aiohttp.ClientSession, base: str, name: str = "ada") -> str:
    """Type a name into the form; the code that the page is sent."""
    async with session.post(f"{base}/authorize", data={**REQUEST, "name": name}, allow_redirects=False) as response:
        assert response.status == 303, await response.text()
        location = response.headers["Location"]
    query = parse_qs(urlsplit(location).query)
    assert location.startswith(f"{PAGE}?")
    assert query["state"] == ["s"]
    return query["code"][0]


async def exchange(session: aiohttp.ClientSession, base: str, **fields: str) -> tuple[int, dict[str, Any]]:
    """Ask for tokens as the page does."""
    async with session.post(f"{base}/token", data={"client_id": "suna", **fields}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return response.status, await response.json()


def for_code(code: str, /, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": PAGE,
        "code_verifier": VERIFIER,
        **changes,
    }


async def verified(
    session: aiohttp.ClientSession, base: str, token: str, *, audience: str, issuer: str
) -> dict[str, Any]:
    async with session.get(f"{base}/jwks.json") as response:
        keys = jwt.PyJWKSet.from_dict(await response.json())
    return jwt.decode(
        token, keys[jwt.get_unverified_header(token)["kid"]], algorithms=["RS256"], audience=audience, issuer=issuer
    )


async def test_a_name_becomes_the_account_of_tokens_that_verify(session: aiohttp.ClientSession, base: str) -> None:
    status, tokens = await exchange(session, base, **for_code(await code_for(session, base, "Ada Lovelace")))

    assert status == 200
    access = await verified(session, base, tokens["access_token"], audience=AUDIENCE, issuer=ISSUER)
    identity = await verified(session, base, tokens["id_token"], audience="suna", issuer=base)
    assert access["sub"] == identity["sub"] == identity["name"] == "Ada Lovelace"
    assert identity["nonce"] == "n"
    assert tokens["expires_in"] == access["exp"] - access["iat"]


async def test_what_is_published_is_what_a_client_needs(session: aiohttp.ClientSession, base: str) -> None:
    async with session.get(f"{base}/.well-known/openid-configuration") as response:
        published = await response.json()
        assert response.headers["Access-Control-Allow-Origin"] == "*"

    assert published["issuer"] == base
    assert published["authorization_endpoint"] == f"{base}/authorize"
    assert published["code_challenge_methods_supported"] == ["S256"]


async def test_the_form_carries_the_request_and_escapes_it(session: aiohttp.ClientSession, base: str) -> None:
    async with session.get(f"{base}/authorize", params={**REQUEST, "state": '"><script>'}) as response:
        page = await response.text()

    assert response.status == 200
    assert f'value="{CHALLENGE}"' in page
    assert "<script>" not in page


async def test_a_code_is_good_once(session: aiohttp.ClientSession, base: str) -> None:
    code = await code_for(session, base)
    assert (await exchange(session, base, **for_code(code)))[0] == 200

    status, answer = await exchange(session, base, **for_code(code))
    assert (status, answer["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "another-verifier-of-forty-three-characters-xx"},
        {"redirect_uri": "http://127.0.0.1:1/app/"},
        {"client_id": "other"},
        {"code": "made-up"},
    ],
)
async def test_a_code_is_good_only_for_who_asked_for_it(
    session: aiohttp.ClientSession, base: str, changes: dict[str, str]
) -> None:
    status, answer = await exchange(session, base, **for_code(await code_for(session, base), **changes))

    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_a_refresh_token_gives_new_tokens_of_the_same_account(session: aiohttp.ClientSession, base: str) -> None:
    _, first = await exchange(session, base, **for_code(await code_for(session, base)))
    status, second = await exchange(session, base, grant_type="refresh_token", refresh_token=first["refresh_token"])

    assert status == 200
    access = await verified(session, base, second["access_token"], audience=AUDIENCE, issuer=ISSUER)
    assert access["sub"] == "ada"


@pytest.mark.parametrize("which", ["access_token", "id_token"])
async def test_no_other_token_is_a_refresh_token(session: aiohttp.ClientSession, base: str, which: str) -> None:
    _, tokens = await exchange(session, base, **for_code(await code_for(session, base)))
    status, answer = await exchange(session, base, grant_type="refresh_token", refresh_token=tokens[which])

    assert (status, answer["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://example.com/app/"},
        {"redirect_uri": "http://127.0.0.1.example.com/"},
        {"redirect_uri": "http://user@example.com:80/"},
        {"redirect_uri": ""},
        {"client_id": ""},
        {"code_challenge": ""},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
    ],
)
async def test_a_bad_request_is_sent_nowhere(
    session: aiohttp.ClientSession, base: str, changes: dict[str, str]
) -> None:
    async with session.get(f"{base}/authorize", params={**REQUEST, **changes}, allow_redirects=False) as response:
        assert response.status == 400


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b"])
async def test_a_name_has_to_be_one(session: aiohttp.ClientSession, base: str, name: str) -> None:
    async with session.post(f"{base}/authorize", data={**REQUEST, "name": name}, allow_redirects=False) as response:
        assert response.status == 400
