"""Routes of API keys. They take a token: a key that could make keys could not be taken back."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query
from pydantic import AwareDatetime, BaseModel, Field, field_validator

from functions.api.auth import NEVER_S
from functions.api.body import Body
from functions.api.http.identity import TokenHolder
from functions.api.keys import digest, new_secret
from shared.database import api_keys, connection, threads, transaction
from shared.database.api_keys import ApiKey
from shared.domain import SCOPES, Scope
from shared.errors import InvalidRequestError
from shared.stream import open_connections
from shared.stream.closing import end

router = APIRouter(prefix="/api-keys", tags=["api keys"])


class ApiKeyCreate(Body):
    """Body of ``POST /api-keys``."""

    name: str = Field(min_length=1, max_length=200)
    scopes: list[Scope] = Field(default=sorted(SCOPES), min_length=1, max_length=len(SCOPES))
    expires_at: AwareDatetime | None = None

    @field_validator("name")
    @classmethod
    def _shown(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("it has characters that cannot be printed")
        return name

    @field_validator("expires_at")
    @classmethod
    def _ahead(cls, expires_at: datetime | None) -> datetime | None:
        if expires_at is not None and not datetime.now(UTC) < expires_at < datetime.fromtimestamp(NEVER_S, UTC):
            raise ValueError("it lies in the past, or beyond 2106: leave it out for a key that does not expire")
        return expires_at


class WireApiKey(BaseModel):
    """An API key, without its secret."""

    key_id: UUID
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "WireApiKey":
        """``key`` on the wire."""
        return cls(
            key_id=key.key_id,
            name=key.name,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


class NewApiKey(WireApiKey):
    """``secret``: what to send in ``x-api-key``. It is shown here and never again."""

    secret: str


@router.post("", status_code=201)
async def create_api_key(
    caller: TokenHolder, body: ApiKeyCreate, idempotency_key: Annotated[str | None, Header()] = None
) -> NewApiKey:
    """Make a key that stands for your account."""
    if idempotency_key is not None:
        raise InvalidRequestError(
            "an Idempotency-Key cannot be used here: the secret is not kept, so the answer cannot be given again."
            " Make another key, and delete the one whose secret you do not have"
        )
    secret = new_secret()
    async with transaction() as taken:
        await threads.ensure_account(taken, account_id=caller.account_id)
        key = await api_keys.create(
            taken,
            key_id=uuid4(),
            account_id=caller.account_id,
            sha256=digest(secret),
            name=body.name,
            scopes=frozenset(body.scopes),
            expires_at=body.expires_at,
        )
    return NewApiKey(**WireApiKey.of(key).model_dump(), secret=secret)


@router.get("")
async def list_api_keys(
    caller: TokenHolder,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> list[WireApiKey]:
    """Your keys, newest first, also those that are good no more."""
    async with connection() as taken:
        found = await api_keys.page(taken, account_id=caller.account_id, limit=limit, offset=offset)
    return [WireApiKey.of(key) for key in found]


@router.delete("/{key_id}", status_code=204)
async def revoke_api_key(caller: TokenHolder, key_id: UUID) -> None:
    """Revoke a key: within 30 seconds it is good no more. Connections that were opened with it are closed."""
    async with connection() as taken:
        await api_keys.revoke(taken, key_id=key_id, account_id=caller.account_id)
    opened = await open_connections.of_key(key_id, account_id=caller.account_id)
    await end(opened)
