"""Sign-in for development: OpenID Connect's authorization code flow with PKCE, without passwords.

Whoever types a name is that account. Sources: RFC 6749, RFC 7636, OpenID Connect Core 1.0.
"""

import base64
import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import jwt
from aiohttp import web

ACCESS_S = 3600
REFRESH_S = 30 * 24 * 3600
_CODE_S = 60.0
_MOST_CODES = 1000
_REFRESH_AUDIENCE = "suna-refresh"
_LONGEST_NAME = 100
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HIDDEN = ("client_id", "redirect_uri", "state", "nonce", "code_challenge", "scope")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Sign in · Suna (local)</title><link rel="icon" href="data:,">
<style>
  :root {{ font: 400 1rem/1.6 system-ui, sans-serif; color: light-dark(#1b1f1d, #e7eae6);
    background: light-dark(#fcfcfa, #161817); }}
  body {{ display: grid; place-content: center; min-height: 100dvh; margin: 0; }}
  form {{ display: grid; gap: .75rem; width: min(22rem, 85vw); }}
  h1 {{ margin: 0; font-size: 1.4rem; letter-spacing: -.02em; }}
  p {{ margin: 0; color: light-dark(#565e59, #a7afa9); }}
  input, button {{ font: inherit; min-height: 2.6rem; border-radius: .6rem; padding: 0 .8rem; box-sizing: border-box; }}
  input {{ border: 1px solid light-dark(#b9beb8, #5a625d); background: light-dark(#fff, #212423); color: inherit; }}
  button {{ border: 0; background: light-dark(#1f6157, #7cc4b4); color: light-dark(#fff, #0f1f1b); font-weight: 550; }}
</style>
</head>
<body>
<main><form method="post" action="/authorize">
<h1>Sign in</h1>
<p>This issuer is for development: any name is an account, and there is no password.</p>
<label for="name">Name</label>
<input id="name" name="name" required maxlength="{longest}" autocomplete="username" autofocus>
{hidden}
<button>Sign in</button>
</form></main>
</body>
</html>
"""


class Key(Protocol):
    """What tokens are signed with."""

    def sign(self, token_claims: dict[str, Any]) -> str: ...
    def verify(self, token: str, *, audience: str) -> dict[str, Any]: ...


class GrantError(Exception):
    """A grant that is not good; the arguments are OAuth's error code and a description."""


@dataclass(frozen=True)
class _Code:
    """What a code stands for until it is exchanged."""

    subject: str
    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str
    issuer: str
    expires_at: float


class SignIn:
    """The endpoints `/authorize` and `/token`. Codes are kept in memory: a restart makes people sign in again."""

    def __init__(self, key: Key, *, access_claims: Callable[..., dict[str, Any]]) -> None:
        """``access_claims``: the claims of an access token, from its subject and ``lifetime_s``."""
        self._key = key
        self._access_claims = access_claims
        self._codes: dict[str, _Code] = {}

    async def form(self, request: web.Request) -> web.Response:
        """The question for a name."""
        if problem := _problem(request.query):
            return web.Response(status=400, text=problem)
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(request.query.get(name, ""))}">'
            for name in _HIDDEN
        )
        page = _PAGE.format(hidden=fields, longest=_LONGEST_NAME)
        return web.Response(text=page, content_type="text/html", headers={"X-Frame-Options": "DENY"})

    async def accept(self, request: web.Request) -> web.Response:
        """The name: back to the page with a code."""
        fields = {name: str(value) for name, value in (await request.post()).items()}
        name = fields.get("name", "").strip()
        problem = _problem({**fields, "response_type": "code", "code_challenge_method": "S256"})
        if problem is None and not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
            problem = f"name: 1 to {_LONGEST_NAME} printable characters"
        if problem:
            return web.Response(status=400, text=problem)
        self._forget_old()
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(
            subject=name,
            client_id=fields["client_id"],
            redirect_uri=fields["redirect_uri"],
            challenge=fields["code_challenge"],
            nonce=fields.get("nonce", ""),
            issuer=f"http://{request.host}",
            expires_at=time.monotonic() + _CODE_S,
        )
        query = urlencode({"code": code, "state": fields.get("state", "")})
        return web.Response(status=303, headers={"Location": f"{fields['redirect_uri']}?{query}"})

    async def exchange(self, request: web.Request) -> dict[str, Any]:
        """Tokens for a code or a refresh token: ``data`` and ``status`` of a JSON response."""
        fields = {name: str(value) for name, value in (await request.post()).items()}
        issuer = f"http://{request.host}"
        try:
            match fields.get("grant_type"):
                case "authorization_code":
                    code = self._redeem(fields)
                    return {"data": self._tokens(code.subject, code.client_id, code.issuer, nonce=code.nonce)}
                case "refresh_token":
                    claims = self._key.verify(fields.get("refresh_token", ""), audience=_REFRESH_AUDIENCE)
                    if claims.get("client_id") != fields.get("client_id"):
                        raise GrantError("invalid_grant", "the refresh token was given to another client")
                    return {"data": self._tokens(claims["sub"], claims["client_id"], issuer)}
                case _:
                    raise GrantError("unsupported_grant_type", "use authorization_code or refresh_token")
        except GrantError as error:
            return {"data": {"error": error.args[0], "error_description": error.args[1]}, "status": 400}
        except jwt.PyJWTError as error:
            return {"data": {"error": "invalid_grant", "error_description": str(error)}, "status": 400}

    def _redeem(self, fields: Mapping[str, str]) -> _Code:
        # Whatever is wrong with it, a code is good for one attempt.
        code = self._codes.pop(fields.get("code", ""), None)
        if code is None or code.expires_at < time.monotonic():
            raise GrantError("invalid_grant", "the code is unknown, used, or older than a minute")
        if (fields.get("client_id"), fields.get("redirect_uri")) != (code.client_id, code.redirect_uri):
            raise GrantError("invalid_grant", "the code was given to another client or redirect_uri")
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        given = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not hmac.compare_digest(given, code.challenge):
            raise GrantError("invalid_grant", "code_verifier does not fit the code_challenge")
        return code

    def _tokens(self, subject: str, client_id: str, issuer: str, *, nonce: str = "") -> dict[str, Any]:
        access = self._access_claims(subject, lifetime_s=ACCESS_S)
        identity = {**access, "iss": issuer, "aud": client_id, "name": subject}
        if nonce:
            identity["nonce"] = nonce
        refresh = {**access, "aud": _REFRESH_AUDIENCE, "client_id": client_id, "exp": access["iat"] + REFRESH_S}
        return {
            "access_token": self._key.sign(access),
            "id_token": self._key.sign(identity),
            "refresh_token": self._key.sign(refresh),
            "token_type": "Bearer",
            "expires_in": ACCESS_S,
        }

    def _forget_old(self) -> None:
        now = time.monotonic()
        kept = [(code, entry) for code, entry in self._codes.items() if entry.expires_at > now]
        self._codes = dict(kept[-_MOST_CODES:])


def _problem(query: Mapping[str, str]) -> str | None:
    """What is wrong with a request for a code; such a request is never sent back to its ``redirect_uri``."""
    if query.get("response_type") != "code":
        return "response_type must be code"
    if not query.get("client_id"):
        return "client_id is missing"
    if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
        return "PKCE is required: code_challenge, and S256 as code_challenge_method"
    target = urlsplit(query.get("redirect_uri", ""))
    host = target.netloc.rpartition(":")[0] or target.netloc
    if target.scheme != "http" or host not in _LOOPBACK or target.query or target.fragment:
        return "redirect_uri must be an http address of this machine, without query and fragment"
    return None
