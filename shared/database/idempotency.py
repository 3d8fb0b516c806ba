"""Requests that are carried out once: the ``Idempotency-Key`` header, kept for 24 hours.

The key's row is written by the transaction that records what was asked for. So a crash leaves both or neither, and of
two requests at once one waits for the other's answer.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import Json
from shared.errors import InvalidRequestError
from shared.storable import jsonb

_SQL = queries("idempotency")


class ReplayedError(Exception):
    """The request was carried out before: no error, but the end of carrying it out."""

    def __init__(self, *, status: int, answer: Json) -> None:
        """``status`` and ``answer`` as they were."""
        super().__init__(status)
        self.status = status
        self.answer = answer


@dataclass(frozen=True, kw_only=True)
class Once:
    """One request with a key.

    ``route``: method and path; ``body_hash``: of its parsed body; ``status``: of its answer, if it succeeds;
    ``answer``: makes that answer's body from what was recorded.
    """

    account_id: str
    route: str
    key: str
    body_hash: bytes
    status: int = 200
    answer: Callable[[Any], Json]

    async def begin(self, connection: Connection) -> None:
        """Claim the key, as the first statement of the transaction that carries the request out.

        Raises:
            ReplayedError: it was carried out already; with the answer.
            InvalidRequestError: the key was used for another body.
        """
        found = (self.account_id, self.route, self.key)
        if await connection.fetchval(_SQL["begin"], *found, self.body_hash, self.status) is not None:
            return
        row = await connection.fetchrow(_SQL["get"], *found)
        if row is None or row["body_hash"] != self.body_hash:
            raise InvalidRequestError(
                f"the Idempotency-Key {self.key!r} was used for another body; a new request needs a new key"
            )
        raise ReplayedError(status=row["status"], answer=json.loads(row["answer"]))

    async def keep(self, connection: Connection, recorded: object) -> None:
        """Keep the answer, as the last statement of that transaction."""
        answer = jsonb(self.answer(recorded))
        await connection.execute(_SQL["keep"], self.account_id, self.route, self.key, answer)
