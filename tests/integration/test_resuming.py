"""Answers to what a run waits for: who has asked goes on, and exactly once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from functions.api.runs import respond, start_run
from functions.api.wire import RunCommand, RunConfig, RunCreate
from shared.database.idempotency import Once, ReplayedError
from shared.domain import AgentRun
from shared.errors import InvalidRequestError, NoSuchInterruptError
from tests.integration.databases import Database
from tests.integration.owned import Owned, own
from tests.integration.queues import Queues

# Neither the assistant's nor the defaults.
ASKED = {
    "agent": {"system_prompt": "You land.", "temperature": 0.5, "mcp_servers": [{"name": "a", "url": "https://a.b/c"}]},
    "options": {"step_time_s": 40},
}


@pytest.fixture
async def asking(database: Database, queues: Queues, account_id: str) -> Owned:
    """A thread whose run waits for the approval of ``call-1``."""
    owned = await own(database, account_id)
    config = json.dumps(ASKED).replace("'", "''")
    await database.set_run(owned.agent_run_id, status="'needs_input'", ended_at="now()", config=f"'{config}'::jsonb")
    return owned


async def by_command(asking: Owned, **options: Any) -> AgentRun:
    """As ``input.respond`` does."""
    return await respond(
        account_id=asking.account_id, thread_id=asking.thread_id, interrupt_id="call-1", response=True, **options
    )


async def by_run(asking: Owned, *, configurable: dict[str, Any] | None = None, **options: Any) -> AgentRun:
    """As the chat page does."""
    body = RunCreate(
        assistant_id="agent",
        command=RunCommand(resume={"call-1": True}),
        config=RunConfig(configurable=configurable or {}),
    )
    return await start_run(account_id=asking.account_id, thread_id=asking.thread_id, body=body, **options)


BOTH = pytest.mark.parametrize("answer", [by_command, by_run])
type Answer = Callable[..., Awaitable[AgentRun]]


async def config_of(database: Database, agent_run_id: UUID) -> dict[str, Any]:
    return json.loads((await database.run(agent_run_id))["config"])


@BOTH
async def test_the_run_that_goes_on_has_the_configuration_of_the_one_that_asked(
    database: Database, asking: Owned, answer: Answer
) -> None:
    run = await answer(asking)
    config = await config_of(database, run.agent_run_id)
    assert config == {**ASKED, "resume": {"call-1": True}}


async def test_what_the_answer_overrides_is_overridden(database: Database, asking: Owned) -> None:
    run = await by_run(asking, configurable={"temperature": 1, "queue_time_s": 5})
    config = await config_of(database, run.agent_run_id)
    assert config["agent"] == {**ASKED["agent"], "temperature": 1}
    assert config["options"] == {"step_time_s": 40, "queue_time_s": 5}


@BOTH
async def test_of_answers_at_once_exactly_one_starts_a_run(database: Database, asking: Owned, answer: Answer) -> None:
    answered = await asyncio.gather(*(answer(asking) for _ in range(8)), return_exceptions=True)
    started = [one for one in answered if isinstance(one, AgentRun)]
    refused = [one for one in answered if isinstance(one, NoSuchInterruptError)]
    assert (len(started), len(refused)) == (1, 7)
    assert await database.count("agent_runs") == 2
    # Nor does one that comes later, while the first has not ended.
    with pytest.raises(NoSuchInterruptError):
        await answer(asking)
    # Nor when it has, with nothing left to answer.
    await database.connection.execute("UPDATE tool_executions SET answered = true, status = 'finished', result = '{}'")
    await database.set_run(started[0].agent_run_id, status="'completed'", ended_at="now()")
    with pytest.raises(NoSuchInterruptError):
        await answer(asking)
    assert await database.count("agent_runs") == 2


@BOTH
async def test_an_answer_that_is_sent_again_is_the_same_answer(
    database: Database, asking: Owned, answer: Answer
) -> None:
    def once(key: str) -> Once:
        return Once(
            account_id=asking.account_id, route="r", key=key, body_hash=b"x", answer=lambda run: {"id": str(run.number)}
        )

    run = await answer(asking, once=once("first"))
    with pytest.raises(ReplayedError) as replayed:
        await answer(asking, once=once("first"))
    assert replayed.value.answer == {"id": str(run.number)}
    with pytest.raises(NoSuchInterruptError):
        await answer(asking, once=once("second"))
    # A key under which nothing was done is free.
    assert await database.count("idempotency_keys") == 1


@BOTH
async def test_a_configuration_of_an_older_version_is_refused(
    database: Database, asking: Owned, answer: Answer
) -> None:
    await database.set_run(asking.agent_run_id, config="""'{"agent": {"tools": ["ask", "ask"]}}'::jsonb""")
    with pytest.raises(InvalidRequestError, match="not valid any more"):
        await answer(asking)
    assert await database.count("agent_runs") == 1
