"""The caller of a route: who it is, that it does not ask too often, and that its credential allows what it asks for."""

from typing import Annotated

from fastapi import Depends, Header, Request

from functions.api.auth import Principal, authenticator
from functions.api.http.middleware import RATE_HEADERS
from functions.api.limits.limiter import limiter, refuse
from shared.domain import Scope
from shared.errors import ForbiddenError

# What is asked for with POST and changes nothing. Whatever is neither here nor a GET needs `write`.
READING = frozenset(
    {
        "/agents/search",
        "/assistants/count",
        "/assistants/search",
        "/assistants/{assistant_id}/versions",
        "/threads/count",
        "/threads/search",
        "/threads/{thread_id}/history",
        "/threads/{thread_id}/state/checkpoint",
        # Each command says for itself what it needs.
        "/threads/{thread_id}/commands",
        # A ticket allows what the credential does that it was got with.
        "/ws-tickets",
    }
)
# What a GET shows that would let its reader act.
SECRETS = frozenset({"/webhooks/secret"})


def scope_of(method: str, path: str) -> Scope:
    """What a credential must allow for a route; ``path`` as the route has it, with names for its parameters."""
    reads = path not in SECRETS if method in {"GET", "HEAD"} else method == "POST" and path in READING
    return "read" if reads else "write"


async def authenticates(
    request: Request,
    # The description has them as security schemes.
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    x_api_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Principal:
    """The caller, by token or API key. A route that depends on it is described as one that needs either."""
    caller = await authenticator().authenticate(authorization, x_api_key)
    verdict = await limiter().take(caller.account_id)
    setattr(request.state, RATE_HEADERS, verdict.headers)
    refuse(verdict)
    caller.require(scope_of(request.method, request.scope["route"].path))
    return caller


Caller = Annotated[Principal, Depends(authenticates)]


async def needs_token(caller: Caller) -> Principal:
    """The caller, by token. A route that depends on it is described as one that an API key cannot use."""
    if caller.key_id is not None:
        raise ForbiddenError("this is done with a token: send one in the header 'Authorization: Bearer <token>'")
    return caller


TokenHolder = Annotated[Principal, Depends(needs_token)]
