"""Tokens signed with the shared secret, and every way of getting in without it."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import algorithms
from pydantic import ValidationError

from functions.api.auth import Authenticator
from shared.aws import secrets
from shared.errors import UnauthenticatedError
from shared.settings import AuthSettings

SECRET = "0123456789abcdef0123456789abcdef"
ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:auth"
SETTINGS = AuthSettings(auth_secret_arn=ARN, jwt_issuer="https://issuer.test", jwt_audience="suna")


@pytest.fixture(autouse=True)
def _fetched_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(secrets._fetched, ARN, json.dumps({"hs256_secret": SECRET}))


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {"sub": "account", "exp": time.time() + 60, "iss": "https://issuer.test", "aud": "suna", **changes}
    return {name: value for name, value in claims.items() if value is not None}


def _token(claims: dict[str, Any] | None = None, *, key: Any = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims or _claims(), key, algorithm)


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


async def _refusal(authorization: str | None, settings: AuthSettings = SETTINGS) -> str:
    with pytest.raises(UnauthenticatedError) as refused:
        await Authenticator(settings).authenticate(authorization)
    return refused.value.message


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_good_token_says_whose_it_is_and_until_when(scheme: str) -> None:
    claims = _claims()
    caller = await Authenticator(SETTINGS).authenticate(f"{scheme} {_token(claims)}")
    assert (caller.account_id, caller.expires_at) == ("account", claims["exp"])


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "token"])
async def test_without_a_token_the_message_says_how_to_send_one(header: str | None) -> None:
    assert "'Authorization: Bearer <token>'" in await _refusal(header)


@pytest.mark.parametrize("token", ["x", "a.b.c", "..", "é.é.é", "\x00", _token()[:-2], _token() + "x", "a" * 100_000])
async def test_a_mangled_token_is_refused(token: str) -> None:
    assert (await _refusal(f"Bearer {token}")).startswith("the token is not valid: ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, '"exp"'),
        ({"exp": "soon"}, "exp"),
        ({"nbf": time.time() + 3600}, "not yet valid"),
        ({"sub": None}, '"sub"'),
        ({"sub": ""}, "'sub' must be text"),
        ({"sub": 7}, "Subject"),
        ({"aud": None}, '"aud"'),
        ({"aud": "another"}, "Audience"),
        ({"iss": None}, '"iss"'),
        ({"iss": "https://another.test"}, "issuer"),
    ],
)
async def test_a_token_whose_claims_do_not_fit_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert reason in await _refusal(f"Bearer {_token(_claims(**changes))}")


async def test_a_clock_that_is_a_little_behind_is_forgiven() -> None:
    token = _token(_claims(exp=time.time() - 5))
    assert (await Authenticator(SETTINGS).authenticate(f"Bearer {token}")).account_id == "account"


async def test_another_secret_is_refused() -> None:
    assert "Signature" in await _refusal(f"Bearer {_token(key='another secret, of 32 bytes or so')}")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None])
async def test_an_unsigned_token_is_refused(algorithm: str | None) -> None:
    unsigned = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(_claims())}."
    await _refusal(f"Bearer {unsigned}")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_only_the_pinned_algorithm_is_accepted(algorithm: str) -> None:
    token = _token(algorithm=algorithm, key=SECRET * 2)
    assert f"algorithm {algorithm!r} is not accepted" in await _refusal(f"Bearer {token}")


async def test_an_rs256_token_needs_published_keys() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = _token(key=key, algorithm="RS256")
    assert "algorithm 'RS256' is not accepted" in await _refusal(f"Bearer {token}")


async def test_a_public_key_is_never_taken_for_the_secret() -> None:
    # GIVEN a token that is signed, as HS256, with the text of a public key that everybody has
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(_claims())}"
    signature = algorithms.HMACAlgorithm(algorithms.HMACAlgorithm.SHA256).sign(head.encode(), pem)
    token = f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    # THEN it is refused where only published keys are trusted, and where the secret is
    no_secret = AuthSettings(jwks_url="http://127.0.0.1:1/jwks.json", jwt_audience="suna")
    assert "algorithm 'HS256' is not accepted" in await _refusal(f"Bearer {token}", no_secret)
    assert "Signature" in await _refusal(f"Bearer {token}")


async def test_without_a_secret_hs256_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(secrets._fetched, ARN, json.dumps({"hs256_secret": ""}))
    assert "algorithm 'HS256' is not accepted" in await _refusal(f"Bearer {_token()}")


@pytest.mark.parametrize("subject", ["a\x00b", "a\ud800b", "", " ", "a\nb", "a" * 256, 1, None, ["a"], {"a": 1}, True])
async def test_a_signed_token_whose_subject_is_no_name_is_refused(subject: object) -> None:
    token = jwt.encode({**_claims(), "sub": subject}, SECRET, "HS256", sort_headers=False)
    assert "sub" in (await _refusal(f"Bearer {token}")).lower()


@pytest.mark.parametrize("ends", ["1" + "0" * 400, "1e308", "1e400", "-1e400", "NaN", '"soon"', "[]", "true", "null"])
async def test_a_signed_token_that_ends_at_no_time_is_refused(ends: str) -> None:
    text = json.dumps(_claims(exp=None))[:-1] + f', "exp": {ends}}}'
    assert "not valid" in await _refusal(f"Bearer {_signed(text)}")


@pytest.mark.parametrize("name", ["nbf", "iat", "aud", "iss", "sub", "jti", "of its own"])
@pytest.mark.parametrize("value", ["Infinity", "1" + "0" * 400, '"\\u0000\\ud800"', "[" * 3000 + "]" * 3000, "{}"])
async def test_no_odd_claim_is_an_error_of_ours(name: str, value: str) -> None:
    text = json.dumps({key: of for key, of in _claims().items() if key != name})[:-1] + f', "{name}": {value}}}'
    try:
        caller = await Authenticator(SETTINGS).authenticate(f"Bearer {_signed(text)}")
    except UnauthenticatedError:
        return
    assert caller.account_id == "account"


@pytest.mark.parametrize(
    "header", ["[" * 5000 + "]" * 5000, '{"alg": ["HS256"]}', '{"alg": "HS256", "kid": 1}', "[]", "1"]
)
async def test_no_odd_header_is_an_error_of_ours(header: str) -> None:
    assert "not valid" in await _refusal(f"Bearer {_encoded(header)}.{_part(_claims())}.{_encoded('x')}")


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _signed(payload: str) -> str:
    """A token with this very text as its claims, and a good signature."""
    head = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(payload)}"
    signature = algorithms.HMACAlgorithm(algorithms.HMACAlgorithm.SHA256).sign(head.encode(), SECRET.encode())
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("given", [{"jwks_url": "https://issuer.test/keys"}, {"jwt_issuer": "https://issuer.test"}])
def test_an_issuer_without_an_audience_is_refused_at_the_start(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="JWT_AUDIENCE"):
        AuthSettings(**given)


async def test_issuer_and_audience_are_checked_only_where_they_are_set() -> None:
    token = _token(_claims(iss=None, aud="anything"))
    assert (await Authenticator(AuthSettings(auth_secret_arn=ARN)).authenticate(f"Bearer {token}")).account_id
