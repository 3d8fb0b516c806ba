"""The user's own PostgreSQL or Redis, checked before anything is started."""

from urllib.parse import urlsplit

import psycopg
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

_TIMEOUT_S = 5


class ExternalServiceUnusable(RuntimeError):
    """A URL given by the user does not work; the message is one line and says what to do."""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def redacted(url: str) -> str:
    """``url`` without its password, for messages."""
    try:
        parts = urlsplit(url)
        return url.replace(f":{parts.password}@", ":***@") if parts.password else url
    except ValueError:
        return "(not a URL)"


def check_database(url: str) -> None:
    """Connect to ``url`` (``postgresql://user:password@host:port/database``) and run one query.

    Raises:
        ExternalServiceUnusable: unreachable, wrong password, no such database, not a PostgreSQL URL.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ExternalServiceUnusable(
            f"DATABASE_URL={redacted(url)} is no PostgreSQL URL: write postgresql://user:password@host:port/database, "
            "or unset it to use the embedded server"
        )
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname and parts.username and parts.path.strip("/")) and (parts.port or True)
    except ValueError:
        complete = False
    if not complete:
        raise ExternalServiceUnusable(
            f"DATABASE_URL={redacted(url)} lacks a user, host, port or database name: "
            "write postgresql://user:password@host:port/database"
        )
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise ExternalServiceUnusable(
            f"DATABASE_URL={redacted(url)} does not work ({_first_line(error)}): correct it, or unset it to use the "
            "embedded server"
        ) from error


def check_redis(url: str) -> bool:
    """Connect to ``url`` and return whether that Redis is in cluster mode.

    A Redis that is not in cluster mode is accepted: every multi-key command of the project stays within one hash tag.

    Raises:
        ExternalServiceUnusable: unreachable, wrong password, cluster slots missing, not a Redis URL.
    """
    advice = "correct it, or unset it to use the embedded server"
    if not url.startswith(("redis://", "rediss://")):
        raise ExternalServiceUnusable(
            f"REDIS_URL={redacted(url)} is no Redis URL: write redis://[user:password@]host:port/0, or unset it"
        )
    try:
        client: Redis = Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        client.ping()
        cluster = "'cluster_enabled': 1" in repr(client.info("cluster"))
        if cluster:
            state = client.execute_command("CLUSTER INFO")
            if "ok" not in str(state.get("cluster_state") if isinstance(state, dict) else state):
                raise ExternalServiceUnusable(f"REDIS_URL={redacted(url)}: its slots are not all served: {advice}")
        client.close()
    except AuthenticationError as error:
        raise ExternalServiceUnusable(
            f"REDIS_URL={redacted(url)} refuses the password ({_first_line(error)}): {advice}"
        ) from error
    except (RedisError, OSError, ValueError) as error:
        raise ExternalServiceUnusable(
            f"REDIS_URL={redacted(url)} does not work ({_first_line(error)}): {advice}"
        ) from error
    return cluster
