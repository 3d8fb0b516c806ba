"""The process's connections to PostgreSQL, opened when first needed."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from shared.aws.secrets import forget, secret
from shared.errors import DatabaseUnavailableError, OutcomeUnknownError, SecretsUnavailableError
from shared.settings import settings
from shared.telemetry import logger

# Aliases, because asyncpg's classes are generic for type checkers only.
type Connection = PoolConnectionProxy[asyncpg.Record]
type DirectConnection = asyncpg.Connection[asyncpg.Record]
type Pool = asyncpg.Pool[asyncpg.Record]

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 20.0

# What the server or the network did to us, as opposed to what is wrong with a statement.
_UNAVAILABLE = (
    # A statement to which nothing is answered within COMMAND_TIMEOUT_S, as asyncpg has it.
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # Somebody else holds what the statement needs; the role's time limits end the wait.
    asyncpg.DeadlockDetectedError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)
# Without its secret it cannot be reached either.
_UNREACHABLE = (*_UNAVAILABLE, OSError, SecretsUnavailableError)


class ProxiedConnection(asyncpg.Connection):  # pyright: ignore[reportMissingTypeArgument]
    """A connection that sends no reset query when it goes back to the pool: RDS Proxy would pin it for that.

    Nothing here changes a session, so there is nothing to reset.
    """

    def get_reset_query(self) -> str:
        """No reset query."""
        return ""


async def connect_arguments() -> dict[str, Any]:
    """The arguments of ``asyncpg.connect``, from the database's secret (RDS's JSON: host, port, username, ...)."""
    credentials = json.loads(await secret(settings().database_secret_arn))
    return {
        "host": settings().database_host or credentials["host"],
        "port": int(credentials["port"]),
        "user": credentials["username"],
        "password": credentials["password"],
        "database": credentials["dbname"],
        "ssl": credentials.get("sslmode", "require"),
        "timeout": CONNECT_TIMEOUT_S,
        "command_timeout": COMMAND_TIMEOUT_S,
        # Prepared statements pin a proxied connection, and are lost when it moves.
        "statement_cache_size": 0 if settings().stage == "large" else 100,
        "server_settings": {"application_name": "suna"},
    }


def forget_credentials() -> None:
    """They were refused, and may have been rotated: whoever connects next has the new ones."""
    forget(settings().database_secret_arn)


class _Attempt:
    """One attempt to open the pool: all who wait for it get what comes of it, and the last who leaves ends it."""

    def __init__(self) -> None:
        self._task = asyncio.create_task(_open())
        self._waiting = 0

    async def outcome(self) -> Pool:
        """The pool. Raises what opening it does."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and self in _attempts:
                _attempts.remove(self)
                self._task.cancel()


# The one that is under way.
_attempts: list[_Attempt] = []
_pools: list[Pool] = []
# When the pool's connections were last bound to be replaced, on the local monotonic clock.
_young_since: dict[Pool, float] = {}


async def _pool() -> Pool:
    if not _pools:
        if not _attempts:
            _attempts.append(_Attempt())
        return await _attempts[0].outcome()
    pool = _pools[0]
    if time.monotonic() - _young_since.setdefault(pool, time.monotonic()) >= settings().postgres_lifetime_s:
        # asyncpg knows no age: each connection is replaced when it is next taken, those in use after they are back.
        _young_since[pool] = time.monotonic()
        await pool.expire_connections()
    return pool


async def _open() -> Pool:
    pool = await asyncpg.create_pool(
        **await connect_arguments(),
        min_size=1,
        max_size=settings().postgres_pool_size,
        max_inactive_connection_lifetime=settings().postgres_idle_s,
        connection_class=ProxiedConnection,
    )
    _pools.append(pool)
    _young_since[pool] = time.monotonic()
    return pool


async def open_pool() -> None:
    """Open the pool now: a function does it while it initialises, so that its first request need not wait."""
    try:
        await _pool()
    except _UNREACHABLE as error:
        raise DatabaseUnavailableError from error


async def close_pool() -> None:
    """Close the connections that nobody uses, and those in use when they are given back. The next user opens a pool."""
    pools = list(_pools)
    _pools.clear()
    _young_since.clear()
    for pool in pools:
        await pool.close()


@asynccontextmanager
async def connection() -> AsyncGenerator[Connection]:
    """A connection of the pool.

    Raises:
        DatabaseUnavailableError: PostgreSQL is out of reach, or went away while the connection was in use.
    """
    try:
        pool = await _pool()
        taken = await pool.acquire(timeout=CONNECT_TIMEOUT_S)
    except asyncpg.InvalidPasswordError as error:
        _pools.clear()
        _young_since.clear()
        forget_credentials()
        raise DatabaseUnavailableError from error
    except _UNREACHABLE as error:
        raise DatabaseUnavailableError from error
    try:
        yield taken
    except _UNAVAILABLE as error:
        raise DatabaseUnavailableError from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # What asyncpg says of a connection that has gone; otherwise a fault of ours.
        if not _is_closed(taken):
            raise
        raise DatabaseUnavailableError from error
    finally:
        await _give_back(pool, taken)


async def _give_back(pool: Pool, taken: Connection) -> None:
    """Whoever is cancelled must end as cancelled: what goes wrong here concerns nobody but the connection."""
    try:
        await pool.release(taken)
    except Exception:
        # Which has ended it: somebody waited for the server to give up a statement, and it did not answer.
        logger.warning("a connection did not come back to the pool in order", exc_info=True)


def _is_closed(taken: Connection) -> bool:
    try:
        return taken.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back by itself
        return True


@asynccontextmanager
async def transaction() -> AsyncGenerator[Connection]:
    """A connection inside a transaction, committed at the block's end.

    Raises:
        OutcomeUnknownError: the reply to COMMIT did not come: all of it may be done, or nothing. Whoever goes on looks
            before he does it again, or does what else depends on it (``docs/lifecycles/commits.md``).
        DatabaseUnavailableError: as :func:`connection`; nothing of it is done.
    """
    async with connection() as taken:
        committing = False
        try:
            async with atomic(taken):
                yield taken
                committing = True
        except (*_UNAVAILABLE, asyncpg.InterfaceError) as error:
            if not committing:
                raise
            raise OutcomeUnknownError from error


@asynccontextmanager
async def atomic(taken: Connection) -> AsyncGenerator[None]:
    """A transaction on the connection, inside the one that it is in, if it is: all of the block is done, or nothing.

    asyncpg's own block waits for a silent server after an error or a cancellation, and ends with an error of its own,
    which takes the place of the cancellation: a task that was to end would go on.
    """
    begun = taken.transaction()
    await begun.start()
    try:
        yield
    except BaseException:
        await _roll_back(taken, begun)
        raise
    await begun.commit()


async def _roll_back(taken: Connection, begun: Transaction) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await begun.rollback()
    except Exception:
        # The server does it, when it sees that the connection has ended.
        logger.warning("a transaction is left to the server to roll back", exc_info=True)
        with suppress(asyncpg.InterfaceError):  # the pool has taken it back by itself
            taken.terminate()
