"""A development token issuer: HS256 tokens from a shared secret, RS256 tokens from a key published as JWKS."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from suna_localstack.json_types import is_object
from suna_localstack.model.sign_in import SignIn

ISSUER = "suna-local"
AUDIENCE = "suna"
LIFETIME_S = 30 * 24 * 3600

CROSS_ORIGIN = {"Access-Control-Allow-Origin": "*"}
"""The page is served from another port, and what is answered here is public or bound to a code."""


def claims(subject: str, *, now: float | None = None, lifetime_s: int = LIFETIME_S) -> dict[str, Any]:
    """The claims of a development token for the account ``subject``, valid for 30 days unless told otherwise."""
    issued = int(time.time() if now is None else now)
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": issued, "exp": issued + lifetime_s}


def shared_secret_token(subject: str, secret: str) -> str:
    """An HS256 token, as the stack's own ``AuthSecret`` verifies it."""
    return jwt.encode(claims(subject), secret, algorithm="HS256")


class SigningKey:
    """An RSA key kept in a file, so that tokens outlive a restart."""

    def __init__(self, path: Path) -> None:
        self._key = self._load(path)
        public = self._key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._key_id = hashlib.sha256(der).hexdigest()[:16]
        self._public = public

    @staticmethod
    def _load(path: Path) -> rsa.RSAPrivateKey:
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(key, rsa.RSAPrivateKey):
                raise TypeError(f"{path} holds no RSA key: remove it")
            return key
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
        return key

    def sign(self, token_claims: dict[str, Any]) -> str:
        """An RS256 token with these claims."""
        return jwt.encode(token_claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def verify(self, token: str, *, audience: str) -> dict[str, Any]:
        """The claims of a token signed here. Raises ``jwt.PyJWTError`` if it is not, or not any longer."""
        return jwt.decode(token, self._public, algorithms=["RS256"], audience=audience)

    def published(self) -> dict[str, Any]:
        """The public key as a JWK."""
        return {
            **RSAAlgorithm.to_jwk(self._public, as_dict=True),
            "kid": self._key_id,
            "use": "sig",
            "alg": "RS256",
        }


class Issuer:
    """Gives development tokens to whoever asks, and signs people in by OpenID Connect."""

    def __init__(self, key_file: Path) -> None:
        self._key = SigningKey(key_file)
        self._sign_in = SignIn(self._key, access_claims=claims)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self._configuration),
            web.get("/jwks.json", self._jwks),
            web.get("/authorize", self._sign_in.form),
            web.post("/authorize", self._sign_in.accept),
            web.post("/token", self._token),
        ]

    async def _configuration(self, request: web.Request) -> web.Response:
        base = f"http://{request.host}"
        return web.json_response(
            {
                "issuer": base,
                "jwks_uri": f"{base}/jwks.json",
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "scopes_supported": ["openid", "profile"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            headers=CROSS_ORIGIN,
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self._key.published()]}, headers=CROSS_ORIGIN)

    async def _token(self, request: web.Request) -> web.Response:
        """A form is OAuth's; JSON ``{"sub": "<account>"}`` -> ``{"token": "<RS256 token>"}`` is for scripts."""
        if request.content_type == "application/x-www-form-urlencoded":
            return web.json_response(
                **await self._sign_in.exchange(request), headers={**CROSS_ORIGIN, "Cache-Control": "no-store"}
            )
        body = await request.json()
        if not is_object(body) or not isinstance(body.get("sub"), str):
            return web.json_response({"error": "sub must be a string"}, status=400)
        token = self._key.sign(claims(body["sub"]))
        return web.json_response({"token": token, "token_type": "Bearer", "expires_in": LIFETIME_S})
