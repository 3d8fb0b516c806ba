"""Credentials of every kind: those that are good for nothing, and those that are good for less than all."""

import base64
import json
import time
import uuid
from dataclasses import dataclass, field

import jwt

from tests.e2e.conftest import RunningStack

# Kinds that no route takes but those that take anybody.
UNKNOWN = (
    "none",
    "malformed",
    "bad signature",
    "alg none",
    "expired",
    "wrong audience",
    "wrong issuer",
    "no subject",
    "revoked key",
)


@dataclass
class Secrets:
    """Strings that must stand in no log."""

    strings: set[str] = field(default_factory=set[str])

    def add(self, *strings: str) -> None:
        """Watch for these too."""
        self.strings.update(strings)


def headers_of(kind: str, stack: RunningStack, account_id: str, secrets: Secrets) -> dict[str, str]:
    """What a client sends that claims to be ``account_id``, with a credential that is good for nothing."""
    now = int(time.time())
    claims = {"iss": "suna-local", "aud": "suna", "sub": account_id, "exp": now + 600, "jti": str(uuid.uuid4())}
    secret = stack.fields["jwt_secret"]
    match kind:
        case "none":
            return {}
        case "malformed":
            return {"authorization": "Bearer not.a.token"}
        case "bad signature":
            token = jwt.encode(claims, secret + "x", algorithm="HS256")
        case "alg none":
            token = _unsigned(claims)
        case "expired":
            token = jwt.encode(claims | {"exp": now - 60}, secret, algorithm="HS256")
        case "wrong audience":
            token = jwt.encode(claims | {"aud": "another"}, secret, algorithm="HS256")
        case "wrong issuer":
            token = jwt.encode(claims | {"iss": "another"}, secret, algorithm="HS256")
        case "no subject":
            token = jwt.encode({name: claims[name] for name in ("iss", "aud", "exp")}, secret, algorithm="HS256")
        case _:
            raise ValueError(kind)
    secrets.add(token)
    return {"authorization": f"Bearer {token}"}


def _unsigned(claims: dict[str, object]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."
