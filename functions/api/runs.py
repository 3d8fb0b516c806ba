"""Starting runs: one service under every interface that can start one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, cast
from uuid import UUID

from pydantic import ValidationError

from functions.api.assistants import agent_of, check, named_by, parse
from functions.api.attachments import attach
from functions.api.webhooks.receiver import checked_url
from functions.api.wire import RunCommand, RunCreate
from shared.agent_config import AgentConfig, RunConfig, RunOptions
from shared.database import connection, runs, tool_executions, transaction
from shared.database.files import File
from shared.database.idempotency import Once
from shared.database.runs import Newest
from shared.database.tool_executions import Awaiting
from shared.domain import TERMINAL, AgentRun
from shared.errors import InvalidRequestError, NoSuchInterruptError, NotSupportedError
from shared.runs.record import NewMessage, NewRun, record_run

_APPROVALS = {"approve": True, "approved": True, "yes": True, "decline": False, "declined": False, "no": False}


@dataclass(frozen=True)
class Resumption:
    """What an answer means: approvals by call id, and what is said to the agent.

    ``asked``: the run that waits for it; ``None`` if none does, and the answer is a message like others.
    """

    approvals: dict[str, bool] = field(default_factory=dict[str, bool])
    message: str | None = None
    asked: Newest | None = None


async def start_run(
    *,
    account_id: str,
    thread_id: UUID,
    body: RunCreate,
    once: Once | None = None,
    at_hand: Sequence[tuple[File, bytes]] = (),
    asking: Newest | None = None,
) -> AgentRun:
    """Record and dispatch a run. ``at_hand``: files, and their contents, that are stored and become the thread's.

    ``asking``: the run that it answers, where the caller knows it.

    Raises:
        NotFoundError: there is no such assistant.
        InvalidRequestError: a model, tool or setting that it names does not exist; its webhook cannot be one.
        ForbiddenError: the account's plan does not allow one of its models, or its provider's key.
        NoSuchInterruptError: it answers what somebody else has answered meanwhile.
        NotSupportedError: it asks for what does not exist here.
        SunaError: as :func:`functions.api.attachments.attach`, and as :func:`shared.runs.record.record_run`.
    """
    unsupported = body.unsupported()
    if unsupported is not None:
        raise NotSupportedError(unsupported)
    webhook = checked_url(body.webhook) if body.webhook else None
    given = body.config.configurable
    overrides = {name: value for name, value in given.items() if name in AgentConfig.model_fields}
    resumption = Resumption()
    if body.command is not None and body.command.resume is not None:
        resumption = await _resumption(
            body.command.resume, account_id=account_id, thread_id=thread_id, once=once, asking=asking
        )
    asked = resumption.asked
    if asked is not None and asked.assistant_id == body.assistant_id:
        # Who asked goes on: with another configuration it would be somebody else whom the answer reaches.
        own = _own_config(asked)
        agent = await check(parse(overrides, base=own.agent))
        options = _options(own.options.model_dump(exclude_unset=True) | given)
    else:
        agent = await agent_of(account_id=account_id, assistant_id=body.assistant_id, overrides=overrides)
        options = _options(given)
    messages = await attach(
        [message.new_message() for message in (body.input.messages if body.input else [])],
        account_id=account_id,
        thread_id=thread_id,
        at_hand={file.file_id: (file, content) for file, content in at_hand},
    )
    if resumption.message is not None:
        messages.append(NewMessage(type="user", content={"role": "user", "content": resumption.message}))
    config = RunConfig(agent=agent, options=options, resume=resumption.approvals)
    return await record_run(
        NewRun(
            account_id=account_id,
            thread_id=thread_id,
            assistant_id=body.assistant_id,
            messages=messages,
            model=agent.model,
            named=await named_by(agent),
            config=config.model_dump(mode="json", exclude_unset=True),
            metadata=body.metadata,
            multitask_strategy=body.multitask_strategy,
            create_thread=body.if_not_exists == "create",
            after_s=body.after_seconds,
            files=[file for file, _ in at_hand],
            webhook=webhook,
            follows=None if asked is None else asked.thread_number,
            checkpoints=body.checkpoints,
        ),
        once=once,
    )


async def respond(
    *, account_id: str, thread_id: UUID, interrupt_id: str, response: Any, once: Once | None = None
) -> AgentRun:
    """Answer what a run has asked for: the answer starts the thread's next run, with the configuration
    of the one that has asked.

    Raises:
        NoSuchInterruptError: the thread's newest run does not wait for that.
        SunaError: as :func:`start_run`.
    """
    async with connection() as taken:
        newest = await runs.newest(taken, thread_id=thread_id, account_id=account_id)
        awaiting = await tool_executions.awaiting(taken, thread_id=thread_id, account_id=account_id)
    if newest is None or newest.status != "needs_input":
        await _refuse("no run of this thread waits for an answer", once)
    known = {call.call_id for call in awaiting}
    if known and interrupt_id not in known:
        raise NoSuchInterruptError(f"nothing waits for {interrupt_id!r}; what waits: {', '.join(sorted(known))}")
    resume: Any = {interrupt_id: response} if known else response
    body = RunCreate(assistant_id=newest.assistant_id, command=RunCommand(resume=resume))
    return await start_run(account_id=account_id, thread_id=thread_id, body=body, once=once, asking=newest)


async def _resumption(
    resume: Any, *, account_id: str, thread_id: UUID, once: Once | None, asking: Newest | None
) -> Resumption:
    """What an answer means to the thread as it is.

    Raises:
        NoSuchInterruptError: nothing waits for an answer (any more): there is one already.
    """
    async with connection() as taken:
        newest = asking or await runs.newest(taken, thread_id=thread_id, account_id=account_id)
        awaiting = await tool_executions.awaiting(taken, thread_id=thread_id, account_id=account_id)
    resumption = interpret(resume, awaiting)
    if newest is None:
        return resumption
    if newest.status not in TERMINAL or not (awaiting or newest.status == "needs_input"):
        await _refuse("nothing waits for an answer (any more): there is one already, or the thread has gone on", once)
    return replace(resumption, asked=newest)


def _own_config(asked: Newest) -> RunConfig:
    try:
        return RunConfig.model_validate(asked.config)
    except ValidationError as error:
        # Recorded by an older version, which took what is refused today.
        message = "the run that asked has a configuration that is not valid any more: write a message instead"
        raise InvalidRequestError(message) from error


async def _refuse(why: str, once: Once | None) -> NoReturn:
    """Nothing waits (any more), unless this very request was carried out before: then that is why."""
    error = NoSuchInterruptError(why)
    if once is not None:
        async with transaction() as taken:
            await once.begin(taken)
            # A key that is new is given back with the transaction.
            raise error
    raise error


def _options(given: dict[str, Any]) -> RunOptions:
    try:
        return RunOptions.model_validate(
            {name: value for name, value in given.items() if name in RunOptions.model_fields}
        )
    except ValidationError as error:
        problem = error.errors()[0]
        field_name = ".".join(str(part) for part in problem["loc"])
        raise InvalidRequestError(f"config.configurable.{field_name}: {problem['msg']}") from error


def interpret(resume: Any, awaiting: list[Awaiting]) -> Resumption:
    """What ``resume`` says: true or false, ``approve`` or ``decline``, to all that waits, or to each by its call id.

    Anything else, or an answer while nothing waits for approval, is said to the agent.
    """
    if awaiting:
        if (verdict := _verdict(resume)) is not None:
            return Resumption({call.call_id: verdict for call in awaiting})
        if isinstance(resume, dict):
            by_id = cast("dict[str, Any]", resume)
            verdicts = {call.call_id: _verdict(by_id.get(call.call_id)) for call in awaiting}
            given = {call_id: verdict for call_id, verdict in verdicts.items() if verdict is not None}
            if given:
                return Resumption(given)
    return Resumption(message=resume if isinstance(resume, str) else json.dumps(resume))


def _verdict(answer: Any) -> bool | None:
    match answer:
        case bool():
            return answer
        case str():
            return _APPROVALS.get(answer.strip().lower())
        case {"approved": bool(verdict)}:
            return verdict
        case _:
            return None
