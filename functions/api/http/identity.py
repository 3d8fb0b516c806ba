"""The caller of a route: who it is, and that it does not ask too often."""

from typing import Annotated

from fastapi import Depends, Header, Request

from functions.api.auth import Principal, authenticator
from functions.api.http.middleware import RATE_HEADERS
from functions.api.limits.limiter import limiter, refuse


async def _principal(request: Request, authorization: Annotated[str | None, Header()] = None) -> Principal:
    caller = await authenticator().authenticate(authorization)
    verdict = await limiter().take(caller.account_id)
    setattr(request.state, RATE_HEADERS, verdict.headers)
    refuse(verdict)
    return caller


Caller = Annotated[Principal, Depends(_principal)]
