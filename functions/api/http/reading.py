"""Whose thread a route reads: the caller's own, or a public one of somebody else."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from functions.api.auth import Principal
from shared.database import connection, threads
from shared.errors import NotFoundError


@asynccontextmanager
async def reading(thread_id: UUID, caller: Principal) -> AsyncGenerator[str]:
    """The account of a thread that the caller may read. Routes that change anything ask for the caller's own instead.

    What is read inside is of a thread that is public afterwards, too, if it is another account's: it may have been made
    private in between.

    Raises:
        NotFoundError: there is no such thread, or it is neither the caller's nor public (any more).
    """
    owner = await _owner(thread_id, caller)
    yield owner
    if owner != caller.account_id and await _owner(thread_id, caller) != owner:
        raise _not_found(thread_id)


async def _owner(thread_id: UUID, caller: Principal) -> str:
    async with connection() as taken:
        owner = await threads.owner(taken, thread_id=thread_id, account_id=caller.account_id)
    if owner is None:
        raise _not_found(thread_id)
    return owner


def _not_found(thread_id: UUID) -> NotFoundError:
    return NotFoundError(f"thread {str(thread_id)!r} not found")
