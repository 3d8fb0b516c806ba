"""API keys: their form, how long a look-up counts, and that everything on the edge asks for the right scope."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api import auth, commands
from functions.api import keys as keys_module
from functions.api.auth import NEVER_S, Authenticator, Principal
from functions.api.commands import Caller, execute
from functions.api.http.app import build_app
from functions.api.http.identity import READING, SECRETS, scope_of
from functions.api.keys import LIFE_S, ApiKeys, digest, new_secret
from functions.api.websocket import main
from shared.database import api_keys
from shared.database.api_keys import ApiKey
from shared.domain import SCOPES, Scope, scopes_of
from shared.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from shared.settings import AuthSettings
from shared.stream import subscriptions
from shared.stream.subscriptions import ConnectionRecord

READ: frozenset[Scope] = frozenset({"read"})
WRITE: frozenset[Scope] = frozenset({"write"})


def _key(**changes: Any) -> ApiKey:
    fields: dict[str, Any] = {
        "key_id": uuid4(),
        "account_id": "account",
        "name": "laptop",
        "scopes": READ,
        "created_at": datetime(2026, 11, 1, tzinfo=UTC),
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
    }
    return ApiKey(**fields | changes)


class Store:
    """Keys by the hash of their secrets, in place of the table; ``asked`` counts look-ups."""

    def __init__(self) -> None:
        self.keys: dict[bytes, ApiKey] = {}
        self.asked = 0

    async def use(self, _connection: object, *, sha256: bytes) -> ApiKey | None:
        self.asked += 1
        return self.keys.get(sha256)

    async def get(self, _connection: object, *, key_id: UUID, account_id: str) -> ApiKey:
        self.asked += 1
        for key in self.keys.values():
            if (key.key_id, key.account_id) == (key_id, account_id):
                return key
        raise NotFoundError


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    @asynccontextmanager
    async def connection() -> AsyncGenerator[None]:
        yield

    found = Store()
    monkeypatch.setattr(keys_module, "connection", connection)
    monkeypatch.setattr(api_keys, "use", found.use)
    monkeypatch.setattr(api_keys, "get", found.get)
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wall_clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: Store, clock: Clock, wall_clock: Clock) -> ApiKeys:
    return ApiKeys(clock=clock, wall_clock=wall_clock)


async def _refusal(keys: ApiKeys, secret: str) -> str:
    with pytest.raises(UnauthenticatedError) as refused:
        await keys.of_secret(secret)
    assert len(secret) < 10 or secret not in refused.value.message
    return refused.value.message


def test_secrets_differ_and_have_one_form() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(secret.startswith("sk_suna_") and len(secret) == 51 for secret in secrets)
    assert len(digest(new_secret())) == 32


async def test_every_new_secret_has_the_form_that_is_asked_for(keys: ApiKeys, store: Store) -> None:
    for _ in range(100):
        secret = new_secret()
        store.keys[digest(secret)] = _key()
        assert await keys.of_secret(secret) == store.keys[digest(secret)]


@pytest.mark.parametrize(
    "secret", ["", "sk_suna_", "sk_suna_" + "x" * 42, "sk_suna_" + "x" * 44, "sk_suna_" + "é" * 43, "sk_" + "x" * 48]
)
async def test_what_has_not_the_form_is_not_looked_up(keys: ApiKeys, store: Store, secret: str) -> None:
    assert "'sk_suna_' and 43 characters" in await _refusal(keys, secret)
    assert store.asked == 0


async def test_a_look_up_counts_for_30_seconds(keys: ApiKeys, store: Store, clock: Clock) -> None:
    assert LIFE_S == 30
    secret, key = new_secret(), _key()
    store.keys[digest(secret)] = key
    await keys.of_secret(secret)
    store.keys[digest(secret)] = _key(revoked_at=datetime.now(UTC))
    clock.now = 29.9
    assert await keys.of_secret(secret) == key
    assert store.asked == 1
    clock.now = 30
    assert await _refusal(keys, secret) == "the API key has been revoked"


async def test_an_unknown_key_is_not_looked_up_at_every_try(keys: ApiKeys, store: Store) -> None:
    secret = new_secret()
    for _ in range(3):
        assert "there is none like it" in await _refusal(keys, secret)
    assert store.asked == 1


async def test_an_expired_key_is_good_for_nothing_at_once(keys: ApiKeys, store: Store, wall_clock: Clock) -> None:
    secret = new_secret()
    store.keys[digest(secret)] = _key(expires_at=datetime.fromtimestamp(100, UTC))
    wall_clock.now = 99.9
    await keys.of_secret(secret)
    wall_clock.now = 100
    assert await _refusal(keys, secret) == "the API key has expired"
    assert store.asked == 1


async def test_what_was_opened_with_a_key_ends_within_30_seconds_of_its_end(
    keys: ApiKeys, store: Store, clock: Clock
) -> None:
    key = _key()
    store.keys[b""] = key
    for _ in range(3):
        await keys.check(key.key_id, account_id="account")
    assert store.asked == 1
    store.keys[b""] = _key(key_id=key.key_id, revoked_at=datetime.now(UTC))
    clock.now = 30
    with pytest.raises(UnauthenticatedError, match="revoked"):
        await keys.check(key.key_id, account_id="account")
    with pytest.raises(UnauthenticatedError, match="none like it"):
        await keys.check(uuid4(), account_id="account")


async def test_a_key_stands_for_its_account(keys: ApiKeys, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "keys", lambda: keys)
    for_ever, for_a_while = new_secret(), new_secret()
    store.keys[digest(for_ever)] = mine = _key(scopes=SCOPES)
    store.keys[digest(for_a_while)] = _key(expires_at=datetime.fromtimestamp(1000.5, UTC))
    caller = await Authenticator(AuthSettings()).authenticate(None, for_ever)
    assert caller == Principal("account", NEVER_S, SCOPES, mine.key_id)
    assert caller.expires_at > time.time()
    caller = await Authenticator(AuthSettings()).authenticate(None, for_a_while)
    assert (caller.expires_at, caller.scopes) == (1000.5, READ)


@pytest.mark.parametrize("authorization", ["", "Bearer nonsense", "Basic dXNlcjpwYXNz"])
async def test_a_key_does_not_mend_a_bad_token(
    keys: ApiKeys, store: Store, monkeypatch: pytest.MonkeyPatch, authorization: str
) -> None:
    monkeypatch.setattr(auth, "keys", lambda: keys)
    secret = new_secret()
    store.keys[digest(secret)] = _key()
    with pytest.raises(UnauthenticatedError):
        await Authenticator(AuthSettings()).authenticate(authorization, secret)
    assert store.asked == 0


def test_a_scope_that_is_missing_is_named() -> None:
    Principal("account", NEVER_S).require("write")
    Principal("account", NEVER_S, READ).require("read")
    with pytest.raises(ForbiddenError, match=r"this API key may read: this needs one that may write"):
        Principal("account", NEVER_S, READ).require("write")
    with pytest.raises(ForbiddenError):
        Principal("account", NEVER_S, WRITE).require("read")


def test_scopes_are_kept_as_words() -> None:
    for scopes in (frozenset[Scope](), READ, WRITE, SCOPES):
        assert scopes_of(" ".join(sorted(scopes))) == scopes
    assert scopes_of("admin reading") == frozenset()


def _routes() -> set[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = build_app().openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_what_only_reads_is_a_list_of_routes_that_there_are() -> None:
    assert {path for method, path in _routes() if method == "POST"} >= READING


def test_whatever_changes_something_needs_to_write() -> None:
    routes = _routes()
    assert len(routes) > 20
    for method, path in routes:
        reads = path in READING if method == "POST" else method == "GET" and path not in SECRETS
        assert scope_of(method, path) == ("read" if reads else "write")
    assert scope_of("DELETE", "/threads/search") == "write"


class FakeHandlers:
    """Commands that note that they were carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        for name in commands._HANDLERS:
            monkeypatch.setitem(commands._HANDLERS, name, self._noting(name))

    def _noting(self, name: str) -> Any:
        async def note(_params: object, _caller: object) -> dict[str, Any]:
            self.done.append(name)
            return {}

        return note


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (READ, ["ping", "state.get", "subscription.subscribe", "subscription.unsubscribe"]),
        (WRITE, ["input.respond", "ping", "run.cancel", "run.start"]),
        (SCOPES, sorted(commands._HANDLERS)),
    ],
    ids=["read", "write", "both"],
)
async def test_a_command_needs_its_scope(
    scopes: frozenset[Scope], allowed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = FakeHandlers(monkeypatch)
    caller = Caller(account_id="account", thread_id=uuid4(), scopes=scopes)
    for name in sorted(commands._HANDLERS):
        answer = await execute(f'{{"id": 1, "method": "{name}"}}', caller)
        expected = "success" if name in allowed else "error"
        assert (answer["type"], answer.get("error")) == (expected, None if name in allowed else "permission_denied")
    assert handlers.done == allowed


async def test_whatever_a_connection_sends_is_admitted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = FakeHandlers(monkeypatch)
    record = ConnectionRecord(
        connection_id="c", account_id="account", thread_id=uuid4(), opened_at=time.time(), credential_expires_at=2**32
    )

    async def known(_connection_id: str) -> ConnectionRecord:
        return record

    async def nobody(_record: ConnectionRecord) -> None:
        raise UnauthenticatedError("the API key has been revoked")

    monkeypatch.setattr(subscriptions, "get_connection", known)
    monkeypatch.setattr(main, "_admit", nobody)
    for body in [*(f'{{"id": 1, "method": "{name}"}}' for name in sorted(commands._HANDLERS)), "", "[]"]:
        answer = json.loads((await main._message(body, "c"))["body"])
        assert (answer["type"], answer["message"]) == ("error", "the API key has been revoked")
    assert handlers.done == []
