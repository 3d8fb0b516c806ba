"""Whose thread a route reads: the caller's own, or a public one of somebody else."""

from uuid import UUID

from functions.api.auth import Principal
from shared.database import connection, threads
from shared.errors import NotFoundError


async def owner_of(thread_id: UUID, caller: Principal) -> str:
    """The account of a thread that the caller may read. Routes that change anything ask for the caller's own instead.

    Raises:
        NotFoundError: there is no such thread, or it is neither the caller's nor public.
    """
    async with connection() as taken:
        owner = await threads.owner(taken, thread_id=thread_id, account_id=caller.account_id)
    if owner is None:
        raise NotFoundError(f"thread {str(thread_id)!r} not found")
    return owner
