"""The plan of whoever the printed token is for: a person at this machine, and the benches, start many runs at once."""

import psycopg

_PLAN = """
INSERT INTO plans (
    plan_id, max_unfinished_runs, max_connections, max_thread_messages, max_waits, max_threads, max_assistants,
    max_day_tokens, max_run_cost_usd, max_day_cost_usd, provider_keys
-- Who runs the stack owns every key that it has.
) VALUES ('local', 1000, NULL, NULL, 1000, NULL, NULL, NULL, NULL, NULL, '{*}')
ON CONFLICT (plan_id) DO UPDATE SET
    -- One of before could not answer by a model whose price nobody knows, or name a key of several.
    max_run_cost_usd = CASE
        WHEN plans.max_run_cost_usd = 10 AND plans.max_day_cost_usd IS NULL THEN NULL ELSE plans.max_run_cost_usd
    END,
    provider_keys = coalesce(plans.provider_keys, excluded.provider_keys)
"""

# A plan that somebody has given the account since stays.
_ACCOUNT = """
INSERT INTO accounts (account_id, plan_id) VALUES (%s, 'local')
ON CONFLICT (account_id) DO UPDATE SET plan_id = excluded.plan_id WHERE accounts.plan_id = 'default'
"""


async def give_local_plan(database_url: str, *, account_id: str) -> None:
    """Put the account on the plan ``local``; every other account is on the plan ``default``, as on AWS."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(_PLAN)
        await connection.execute(_ACCOUNT, (account_id,))
