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

ISSUER = "suna-local"
AUDIENCE = "suna"
LIFETIME_S = 30 * 24 * 3600


def claims(subject: str, *, now: float | None = None) -> dict[str, Any]:
    """The claims of a development token for the account ``subject``, valid for 30 days."""
    issued = int(time.time() if now is None else now)
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": issued, "exp": issued + LIFETIME_S}


def shared_secret_token(subject: str, secret: str) -> str:
    """An HS256 token, as the stack's own ``AuthSecret`` verifies it."""
    return jwt.encode(claims(subject), secret, algorithm="HS256")


class Issuer:
    """Signs with an RSA key kept in a file, so that tokens outlive a restart."""

    def __init__(self, key_file: Path) -> None:
        self._key = self._load(key_file)
        public = self._key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._key_id = hashlib.sha256(der).hexdigest()[:16]
        self._public_jwk = RSAAlgorithm.to_jwk(public, as_dict=True)

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

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self._configuration),
            web.get("/jwks.json", self._jwks),
            web.post("/token", self._token),
        ]

    async def _configuration(self, request: web.Request) -> web.Response:
        base = f"http://{request.host}"
        return web.json_response(
            {
                "issuer": ISSUER,
                "jwks_uri": f"{base}/jwks.json",
                "token_endpoint": f"{base}/token",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        key = {**self._public_jwk, "kid": self._key_id, "use": "sig", "alg": "RS256"}
        return web.json_response({"keys": [key]})

    async def _token(self, request: web.Request) -> web.Response:
        """``{"sub": "<account>"}`` -> ``{"token": "<RS256 token>"}``."""
        body = await request.json()
        if not isinstance(body, dict) or not isinstance(body.get("sub"), str):
            return web.json_response({"error": "sub must be a string"}, status=400)
        token = jwt.encode(claims(body["sub"]), self._key, algorithm="RS256", headers={"kid": self._key_id})
        return web.json_response({"token": token, "token_type": "Bearer", "expires_in": LIFETIME_S})
