"""Which provider keys an account may name: its plan lists them, and the API refuses the others."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
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
from tests.integration.servers import LOCALSTACK_PYTHON

CATALOGUE: dict[str, Any] = {
    "models": ["openai/gpt-4o", "anthropic/claude"],
    "providers": ["anthropic", "openai"],
    "canonical": {},
    "default": "openai/standard",
}
TEAM = ["OPENAI_API_KEY_TEAM_*"]


@pytest.fixture(autouse=True)
async def _written(database: Database, queues: Queues) -> AsyncIterator[None]:
    del database, queues
    async with transaction() as taken:
        await assistants.write_catalogue(taken, "models", CATALOGUE)
    agents._read.clear()
    yield
    agents._read.clear()


@pytest.fixture
async def team_id(database: Database) -> str:
    """An account whose plan lists keys; that of everybody else lists none."""
    await database.connection.execute(
        "INSERT INTO plans (plan_id, max_unfinished_runs, provider_keys) VALUES ('team', 10, $1)", TEAM
    )
    await database.connection.execute("INSERT INTO accounts (account_id, plan_id) VALUES ('team', 'team')")
    return "team"


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


async def _refused(account_id: str, patterns: list[str], **agent: Any) -> None:
    for refused in (
        _start(account_id, **agent),
        agents.admit(AgentConfig.model_validate(agent), account_id=account_id),
    ):
        with pytest.raises(ForbiddenError, match=f"the provider key '{agent['provider_key']}': leave") as told:
            await refused
        assert told.value.detail == {"limit": "provider_keys", "provider_keys": patterns}


async def _taken(account_id: str, **agent: Any) -> None:
    await _start(account_id, **agent)
    await agents.admit(AgentConfig.model_validate(agent), account_id=account_id)


async def test_a_key_that_is_listed_is_for_accounts_of_that_plan(
    database: Database, account_id: str, team_id: str
) -> None:
    for agent in ({}, {"model": "anthropic/claude", "fallback_models": ["openai/gpt-4o"]}):
        await _taken(team_id, provider_key="OPENAI_API_KEY_TEAM_A", **agent)
        await _refused(account_id, [], provider_key="OPENAI_API_KEY_TEAM_A", **agent)
        await _refused(team_id, TEAM, provider_key="OPENAI_API_KEY_OTHER_TEAM", **agent)
    assert not await database.connection.fetchval("SELECT count(*) FROM threads WHERE account_id = $1", account_id)


@pytest.mark.parametrize("agent", [{}, {"provider_key": "OPENAI_API_KEY"}], ids=str)
async def test_the_usual_key_is_everybodys(account_id: str, team_id: str, agent: dict[str, Any]) -> None:
    for who in (account_id, team_id):
        await _taken(who, **agent)


async def test_a_plan_that_is_changed_counts_from_the_next_run_on(database: Database, account_id: str) -> None:
    await database.connection.execute("UPDATE plans SET provider_keys = '{*}'")
    await _taken(account_id, provider_key="ANTHROPIC_API_KEY_2", model="anthropic/claude")
    await database.connection.execute("UPDATE plans SET provider_keys = NULL")
    await _refused(account_id, [], provider_key="ANTHROPIC_API_KEY_2", model="anthropic/claude")


async def test_before_the_runner_has_written_it_refuses_by_itself(database: Database, account_id: str) -> None:
    await database.connection.execute("DELETE FROM catalogue")
    agents._read.clear()
    await _start(account_id, provider_key="OPENAI_API_KEY_TEAM_A")


async def test_a_list_without_a_pattern_is_no_list(database: Database) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await database.connection.execute("UPDATE plans SET provider_keys = '{}'")


_GIVE = """
import asyncio, sys
from suna_localstack.up.local_plan import give_local_plan
asyncio.run(give_local_plan(sys.argv[1], account_id=sys.argv[2]))
"""


async def _at_home(database: Database) -> None:
    """Give ``owner`` the plan that ``make run`` gives to whoever has started it."""
    url = urlsplit(database.url)._replace(path=f"/{database.name}").geturl()
    process = await asyncio.create_subprocess_exec(LOCALSTACK_PYTHON, "-c", _GIVE, url, "owner")
    assert await process.wait() == 0


async def test_whoever_runs_the_stack_at_home_names_any_key(database: Database) -> None:
    await _at_home(database)
    await _taken("owner", provider_key="ANTHROPIC_API_KEY_2", model="anthropic/claude")


async def test_a_home_plan_of_before_gets_the_list_and_one_of_its_owner_stays(database: Database) -> None:
    await _at_home(database)
    provider_keys = "SELECT provider_keys FROM plans WHERE plan_id = 'local'"
    for before, after in ((None, ["*"]), (TEAM, TEAM)):
        await database.connection.execute("UPDATE plans SET provider_keys = $1 WHERE plan_id = 'local'", before)
        await _at_home(database)
        assert await database.connection.fetchval(provider_keys) == after
