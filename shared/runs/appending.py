"""Messages that are appended to a thread without a run: they belong to its next one."""

from collections.abc import Collection, Sequence
from uuid import UUID

from shared.database import checkpoints, holdings, plans, threads, transaction
from shared.database.idempotency import Once
from shared.errors import ConflictError
from shared.runs.record import NewMessage, insert_message


async def append_while_idle(
    *,
    account_id: str,
    thread_id: UUID,
    new: Sequence[NewMessage],
    named: Collection[UUID] = (),
    once: Once | None = None,
) -> UUID | None:
    """Append messages, all or none, to a thread that no run is working on; returns the id of the last one.

    ``named``: states (ids of messages) that they are appended to; only the thread's newest can be.

    Raises:
        NotFoundError: the thread does not exist in the account.
        ConflictError: a run of it is unfinished; the id of a message is taken; it would have too many messages; one of
            ``named`` is not its newest state.
        InvalidRequestError: the id of a message is not the client's to choose.
        ReplayedError: the request of ``once`` was carried out before.
    """
    last: UUID | None = None
    async with transaction() as connection:
        if once is not None:
            await once.begin(connection)
        number = 1 + await threads.lock(connection, thread_id=thread_id, account_id=account_id)
        await checkpoints.check_newest(connection, named, thread_id=thread_id, account_id=account_id)
        usage = await plans.usage(connection, account_id=account_id, thread_id=thread_id)
        if usage.busy_with is not None:
            raise ConflictError(f"the thread is busy with run {str(usage.busy_with)!r}: wait for its end, or cancel it")
        usage.admit_messages(len(new))
        for item in new:
            last = await insert_message(connection, item, thread_id=thread_id, account_id=account_id, run_number=number)
        await holdings.admit_bytes(connection, account_id=account_id)
        if once is not None:
            await once.keep(connection, last)
    return last
