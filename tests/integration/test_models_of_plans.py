"""Which models an account may name: its plan says so, and the API refuses the others by what the runner has written."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from functions.api import assistants as agents
from functions.api.runs import start_run
from functions.api.wire import RunCreate
from shared.agent_config import AgentConfig
from shared.database import assistants, transaction
from shared.errors import ForbiddenError
from tests.integration.databases import Database
from tests.integration.queues import Queues

CATALOGUE: dict[str, Any] = {
    "models": ["gpt-4o", "openai/gpt-4o", "claude-3-haiku"],
    "providers": ["anthropic", "openai"],
    "canonical": {"gpt-4o": "openai/gpt-4o", "claude-3-haiku": "anthropic/claude-3-haiku"},
    "default": "openai/standard",
}
ALLOWED = ["openai/gpt-4*"]


@pytest.fixture(autouse=True)
async def _written(database: Database, queues: Queues) -> AsyncIterator[None]:
    del queues
    async with transaction() as taken:
        await assistants.write_catalogue(taken, "models", CATALOGUE)
    await database.connection.execute("UPDATE plans SET models = $1", ALLOWED)
    agents._read.clear()
    yield
    agents._read.clear()


async def _start(account_id: str, **agent: Any) -> None:
    body = RunCreate.model_validate(
        {
            "assistant_id": "agent",
            "input": {"messages": [{"role": "user", "content": "hello"}]},
            "if_not_exists": "create",
            "config": {"configurable": agent},
        }
    )
    await start_run(account_id=account_id, thread_id=uuid4(), body=body)


GOOD: list[dict[str, Any]] = [
    {"model": "gpt-4o"},
    {"model": "openai/gpt-4o"},
    {"model": "openai/gpt-4-unlisted", "fallback_models": ["gpt-4o"]},
]
BAD: list[dict[str, Any]] = [
    {},
    {"model": "claude-3-haiku"},
    {"model": "anthropic/claude-3-haiku"},
    {"model": "openai/o1"},
    {"model": "gpt-4o", "fallback_models": ["claude-3-haiku"]},
    {"fallback_models": ["gpt-4o"]},
]


@pytest.mark.parametrize("agent", GOOD, ids=str)
async def test_what_the_plan_allows_is_recorded(database: Database, account_id: str, agent: dict[str, Any]) -> None:
    await _start(account_id, **agent)
    await agents.admit(AgentConfig.model_validate(agent), account_id=account_id)
    assert await database.connection.fetchval("SELECT count(*) FROM agent_runs WHERE account_id = $1", account_id) == 1


@pytest.mark.parametrize("agent", BAD, ids=str)
async def test_a_run_or_an_assistant_with_another_model_is_refused(
    database: Database, account_id: str, agent: dict[str, Any]
) -> None:
    for refused in (
        _start(account_id, **agent),
        agents.admit(AgentConfig.model_validate(agent), account_id=account_id),
    ):
        with pytest.raises(ForbiddenError, match=r"the model '.*/.*': name one of openai/gpt-4\*") as told:
            await refused
        assert told.value.detail == {"limit": "models", "models": ALLOWED}
    assert not await database.connection.fetchval("SELECT count(*) FROM threads WHERE account_id = $1", account_id)


async def test_another_plan_allows_what_the_stack_serves(database: Database, account_id: str) -> None:
    await database.connection.execute("UPDATE plans SET models = NULL")
    await _start(account_id, model="claude-3-haiku")
    await _start(account_id)


async def test_what_an_older_runner_has_written_is_read(account_id: str) -> None:
    async with transaction() as taken:
        older = {name: CATALOGUE[name] for name in ("models", "providers")}
        await assistants.write_catalogue(taken, "models", older)
    agents._read.clear()
    # The runner refuses by itself what is not known here.
    await _start(account_id, model="openai/o1")


async def test_before_the_runner_has_written_it_refuses_by_itself(database: Database, account_id: str) -> None:
    await database.connection.execute("DELETE FROM catalogue")
    agents._read.clear()
    await _start(account_id, model="openai/o1")


async def test_a_list_without_a_pattern_is_no_list(database: Database) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await database.connection.execute("UPDATE plans SET models = '{}'")
