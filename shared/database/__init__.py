"""PostgreSQL: the pool, named queries, and one store a concern."""

from shared.database.pool import Connection, connection, transaction

__all__ = ["Connection", "connection", "transaction"]
