"""The running stack as an account of the bench's own sees it: with a plan that has room."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import jwt
from botocore.config import Config

from clients.terminal.stack import Stack

ACCOUNT = "bench"
PLAN = "bench"


@dataclass(frozen=True)
class Bench:
    """``fields``: ``stack.json``; ``stack``: addresses and the account's token."""

    fields: dict[str, Any]
    stack: Stack

    def aws(self, service: str) -> Any:
        """A boto3 client of the stack's LocalStack; an invocation may last as long as a function may."""
        return boto3.client(
            service,
            endpoint_url=self.fields["aws_endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - LocalStack asks for some
            config=Config(retries={"max_attempts": 1}, read_timeout=900),
        )

    async def execute(self, statement: str, *values: object) -> None:
        """One SQL statement in the stack's database."""
        connection = await asyncpg.connect(self.fields["database_url"])
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()


async def roomy_account(account_id: str = ACCOUNT) -> Bench:
    """The running stack with an account in it, which may have 1,000 unfinished runs and ask as fast as it can.

    Raises:
        OSError: no stack is running.
    """
    file = Path(os.environ.get("SUNA_LOCAL_DIR", ".local")) / "stack.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    token = jwt.encode(
        {"iss": "suna-local", "aud": "suna", "sub": account_id, "exp": 2**32}, fields["jwt_secret"], algorithm="HS256"
    )
    bench = Bench(fields=fields, stack=Stack(base_url=fields["base_url"], token=token))
    await bench.execute(
        "INSERT INTO plans (plan_id, max_unfinished_runs, requests_per_minute, request_burst, max_day_tokens, "
        "max_day_cost_usd, max_connections, max_thread_messages, max_waits, max_threads) "
        "VALUES ($1, 1000, 1000000, 1000000, NULL, NULL, NULL, NULL, 1000, NULL) "
        "ON CONFLICT (plan_id) DO UPDATE SET requests_per_minute = 1000000, request_burst = 1000000",
        PLAN,
    )
    await bench.execute(
        "INSERT INTO accounts (account_id, plan_id) VALUES ($1, $2) "
        "ON CONFLICT (account_id) DO UPDATE SET plan_id = $2",
        account_id,
        PLAN,
    )
    return bench
