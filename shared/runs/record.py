"""Recording: a run is a fact when its transaction commits, and somebody will look after it from before that instant."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from shared import events
from shared.allowed import Named
from shared.aws import queue
from shared.aws.queue import RunMessage
from shared.database import (
    Connection,
    budgets,
    checkpoints,
    facts,
    files,
    holdings,
    messages,
    plans,
    runs,
    threads,
    transaction,
    webhooks,
)
from shared.database.files import File
from shared.database.idempotency import Once
from shared.domain import AgentRun, Json, MessageType, MultitaskStrategy, Thread
from shared.errors import ConflictError, InvalidRequestError, NoSuchInterruptError, NotFoundError, QueueUnavailableError
from shared.message_ids import is_made_here, new_message_id
from shared.runs.patience import patience_s
from shared.telemetry import logger

if TYPE_CHECKING:
    from shared.runs.stopping import Stopped


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A message to append: ``content`` as the model is given it, with its ``role``.

    ``message_id``: the one that the client has chosen; ``None``: it gets one.
    """

    type: MessageType
    content: Json
    message_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A run to record.

    ``named``: what the plan has to allow: the models that may answer, ``model`` among them, and the provider's key.
    ``config`` holds what a run may override (see ``functions.runner``); ``webhook``: the URL that its end is told to;
    ``files``: whose objects are stored; they become the thread's. ``follows``: the number of the thread's newest run
    that this one answers; it is not recorded if another has come in between. ``checkpoints``: states (ids of messages)
    that it goes on from; only the thread's newest can be.
    """

    account_id: str
    thread_id: UUID
    assistant_id: str
    messages: Sequence[NewMessage]
    model: str | None = None
    named: Named = field(default_factory=Named)
    config: Json = field(default_factory=dict[str, object])
    metadata: Json = field(default_factory=dict[str, object])
    multitask_strategy: MultitaskStrategy = "enqueue"
    create_thread: bool = False
    after_s: float = 0.0
    webhook: str | None = None
    files: Sequence[File] = ()
    follows: int | None = None
    checkpoints: Collection[UUID] = ()
    agent_run_id: UUID = field(default_factory=uuid4)


async def record_run(new: NewRun, *, once: Once | None = None) -> AgentRun:
    """Record a run with its messages, have it watched, and dispatch it.

    The watch message is sent while the statements run and awaited before COMMIT: a run that is recorded is watched,
    whatever dies next. A watch whose run never came to be finds nothing and goes.

    Raises:
        NotFoundError: the thread does not exist in the account (and ``create_thread`` is not set).
        ConflictError: ``create_thread`` is set and the id is somebody else's; a message's id is taken; the strategy is
            ``reject`` and the thread has an unfinished run; the thread would have more messages than the plan allows;
            one of ``checkpoints`` is not its newest state.
        LimitExceededError: the account has as many unfinished runs as its plan allows, besides those that the
            strategy has ended.
        BudgetExceededError: the account has used what its plan allows a day.
        ForbiddenError: its plan does not allow what is ``named``.
        InvalidRequestError: a message's id is not the client's to choose.
        NoSuchInterruptError: what it ``follows`` is not the thread's newest run any more.
        ReplayedError: the request of ``once`` was carried out before.
        OutcomeUnknownError: it may be recorded; then it is watched.
        DatabaseUnavailableError, QueueUnavailableError: nothing was recorded.
    """
    message = RunMessage(agent_run_id=new.agent_run_id, thread_id=new.thread_id, account_id=new.account_id)
    watch = asyncio.create_task(queue.send("watch", message, delay_s=new.after_s + patience_s()))
    try:
        async with transaction() as connection:
            if once is not None:
                await once.begin(connection)
            if new.create_thread:
                await threads.ensure_account(connection, account_id=new.account_id)
                await threads.create(connection, thread_id=new.thread_id, account_id=new.account_id, metadata={})
            number = 1 + await _lock(connection, new)
            if new.follows is not None and number != new.follows + 1:
                raise NoSuchInterruptError("somebody else has answered, or the thread has gone on")
            await checkpoints.check_newest(
                connection, new.checkpoints, thread_id=new.thread_id, account_id=new.account_id
            )
            usage = await plans.usage(connection, account_id=new.account_id, thread_id=new.thread_id)
            busy_with = usage.busy_with
            stopped = None if busy_with is None else await _make_way(connection, new, busy_with)
            if stopped is not None:
                usage = await plans.usage(connection, account_id=new.account_id, thread_id=new.thread_id)
            plans.admit(new.named, usage.allowed)
            usage.admit_run()
            usage.admit_messages(len(new.messages))
            (await budgets.of_day(connection, account_id=new.account_id)).admit_run()
            run = await runs.insert(
                connection,
                agent_run_id=new.agent_run_id,
                thread_id=new.thread_id,
                account_id=new.account_id,
                number=number,
                assistant_id=new.assistant_id,
                model=new.model,
                config=new.config,
                metadata=new.metadata,
                multitask_strategy=new.multitask_strategy,
                after_s=new.after_s,
            )
            if new.webhook is not None:
                await webhooks.insert(
                    connection, agent_run_id=run.agent_run_id, account_id=new.account_id, url=new.webhook
                )
            if busy_with is not None:
                waits = events.custom(run.agent_run_id, "run_queued", {"number": number})
                await facts.add(connection, thread_id=new.thread_id, facts=[waits])
            for file in new.files:
                await files.insert(connection, file)
            for item in new.messages:
                await insert_message(
                    connection,
                    item,
                    thread_id=new.thread_id,
                    account_id=new.account_id,
                    run_number=number,
                    agent_run_id=new.agent_run_id,
                )
            await holdings.admit_bytes(connection, account_id=new.account_id)
            if once is not None:
                await once.keep(connection, run)
            await watch
    finally:
        # Never left behind: an invocation that ends with a task pending is frozen with it.
        await asyncio.gather(watch, return_exceptions=True)
    if stopped is not None:
        await stopped.follow_up()
    try:
        await queue.send("runs", message, delay_s=new.after_s)
    except QueueUnavailableError:
        # It is recorded, and watched: an error would have the client record it again.
        logger.warning("a run could not be dispatched; its watch does it", exc_info=True)
    return run


async def _make_way(connection: Connection, new: NewRun, busy_with: UUID) -> "Stopped | None":
    """What the strategy has to do with the unfinished runs of the thread, whose row lock the caller holds."""
    match new.multitask_strategy:
        case "enqueue":
            return None
        case "reject":
            message = f"the thread is busy with run {str(busy_with)!r}; multitask_strategy='enqueue' would wait"
            raise ConflictError(message)
        case "interrupt" | "rollback" as kind:
            # Deferred: the event log's client costs a cold start 150 ms, and few requests stop a run.
            from shared.runs.stopping import stop_unfinished  # noqa: PLC0415

            return await stop_unfinished(connection, thread_id=new.thread_id, account_id=new.account_id, kind=kind)


async def _lock(connection: Connection, new: NewRun) -> int:
    try:
        return await threads.lock_with_account(connection, thread_id=new.thread_id, account_id=new.account_id)
    except NotFoundError:
        if new.create_thread:
            raise _taken(new.thread_id) from None
        raise


def _taken(thread_id: UUID) -> ConflictError:
    return ConflictError(f"the id {str(thread_id)!r} is taken: choose another one for a new thread")


async def insert_message(
    connection: Connection,
    new: NewMessage,
    *,
    thread_id: UUID,
    account_id: str,
    run_number: int,
    agent_run_id: UUID | None = None,
) -> UUID:
    """Append what a client says, at the next position of ``run_number``; returns its id.

    The caller holds the thread's row lock.

    Raises:
        InvalidRequestError: the client has chosen an id of those that are made here, for a message that is not there:
            it may be that of an answer which is about to be kept.
        ConflictError: the id is taken.
    """
    chosen = new.message_id
    if chosen is not None and is_made_here(chosen):
        there = await messages.content(connection, message_id=chosen, thread_id=thread_id, account_id=account_id)
        if there is None:
            raise InvalidRequestError(
                f"the id {str(chosen)!r} is of those that are made by the service (version 8): leave a new message's id"
                " out, or choose a random UUID (version 4)"
            )
    message = await messages.insert(
        connection,
        message_id=chosen or new_message_id(),
        thread_id=thread_id,
        account_id=account_id,
        run_number=run_number,
        type=new.type,
        content=new.content,
        agent_run_id=agent_run_id,
    )
    return message.message_id


async def append_message(*, account_id: str, thread_id: UUID, new: NewMessage, once: Once | None = None) -> UUID:
    """Append a message without a run; it belongs to the thread's next one.

    Raises:
        NotFoundError: the thread does not exist in the account.
        ConflictError: it has as many messages as the account's plan allows; the message's id is taken.
        InvalidRequestError: it is not the client's to choose.
    """
    async with transaction() as connection:
        if once is not None:
            await once.begin(connection)
        number = 1 + await threads.lock(connection, thread_id=thread_id, account_id=account_id)
        usage = await plans.usage(connection, account_id=account_id, thread_id=thread_id)
        usage.admit_messages(1)
        message_id = await insert_message(
            connection, new, thread_id=thread_id, account_id=account_id, run_number=number
        )
        await holdings.admit_bytes(connection, account_id=account_id)
        if once is not None:
            await once.keep(connection, message_id)
    return message_id


async def create_thread(
    *,
    account_id: str,
    thread_id: UUID,
    metadata: Json,
    exist_ok: bool,
    is_public: bool = False,
    once: Once | None = None,
) -> Thread:
    """Create a thread; returns it, or the existing one.

    Raises:
        ConflictError: the id is taken, and not (``exist_ok``) by the account itself.
    """
    async with transaction() as connection:
        if once is not None:
            await once.begin(connection)
        await threads.ensure_account(connection, account_id=account_id)
        created = await threads.create(
            connection, thread_id=thread_id, account_id=account_id, metadata=metadata, is_public=is_public
        )
        if not created and not exist_ok:
            raise ConflictError(f"thread {str(thread_id)!r} already exists; pass if_exists='do_nothing' to use it")
        try:
            thread = await threads.get(connection, thread_id=thread_id, account_id=account_id)
        except NotFoundError:
            raise _taken(thread_id) from None
        if once is not None:
            await once.keep(connection, thread)
    return thread
