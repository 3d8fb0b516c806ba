"""The caller of a route."""

from typing import Annotated

from fastapi import Depends, Header

from functions.api.auth import Principal, authenticator


async def _principal(authorization: Annotated[str | None, Header()] = None) -> Principal:
    return await authenticator().authenticate(authorization)


Caller = Annotated[Principal, Depends(_principal)]
