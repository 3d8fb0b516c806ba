"""Budgets of tokens and money, as clients of the deployed stack meet them."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack, give_plan
from tests.e2e.following import command, subscribed
from tests.e2e.threads import ended_run, new_thread, start_run, stored_messages

RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}
# Three answers, the first two of which call a tool.
LONG = "".join(f'[[tool expand_message {{"message_id": "{uuid4()}"}}]]' for _ in range(2)) + "[[say done]]"


async def test_a_run_ends_when_its_budget_is_spent(
    stack: RunningStack, http: httpx.AsyncClient, account_id: str
) -> None:
    await give_plan(stack, account_id, max_run_tokens=1)
    thread_id = await new_thread(http)

    ended = await ended_run(http, await start_run(http, thread_id, LONG))

    assert ended["status"] == "error"
    assert ended["error"]["code"] == "budget_exceeded"
    assert "allows 1 a run" in ended["error"]["message"]
    # The answer that spent it is whole, its call has its result, and nothing came after.
    assert [message["type"] for message in await stored_messages(http, thread_id)] == ["user", "assistant", "tool"]
    # What takes one answer is within it.
    short = await ended_run(http, await start_run(http, await new_thread(http), "hello"))
    assert short["status"] == "success"


async def test_money_is_counted_where_the_price_is_known(
    stack: RunningStack, http: httpx.AsyncClient, account_id: str
) -> None:
    await give_plan(stack, account_id, max_run_cost_usd=0.0000001)
    thread_id = await new_thread(http)
    priced: dict[str, Any] = {"config": {"configurable": {"model": "openai/gpt-4o"}}}

    ended = await ended_run(http, await start_run(http, thread_id, LONG, **priced))

    assert ended["error"]["code"] == "budget_exceeded", ended
    assert "USD" in ended["error"]["message"]
    assert ended["usage"]["price_usd"] > 0
    free = await ended_run(http, await start_run(http, await new_thread(http), LONG))
    assert free["status"] == "success", free["error"]


async def test_a_model_without_a_price_answers_only_where_no_money_is_bounded(
    stack: RunningStack, http: httpx.AsyncClient, account_id: str
) -> None:
    unpriced: dict[str, Any] = {"config": {"configurable": {"fallback_models": ["openai/second"]}}}

    await give_plan(stack, account_id, max_run_cost_usd=None)
    ended = await ended_run(http, await start_run(http, await new_thread(http), "hello", **unpriced))
    assert ended["error"]["code"] == "model_without_price"
    assert "'openai/second'" in ended["error"]["message"]

    await give_plan(stack, account_id, max_run_cost_usd=None, max_day_cost_usd=None)
    ended = await ended_run(http, await start_run(http, await new_thread(http), "hello", **unpriced))
    assert ended["status"] == "success", ended["error"]


async def test_a_spent_day_refuses_runs_over_http_and_websocket(
    stack: RunningStack, http: httpx.AsyncClient, client: Stack, account_id: str
) -> None:
    await give_plan(stack, account_id, max_day_tokens=1)
    thread_id = await new_thread(http)
    first = await ended_run(http, await start_run(http, thread_id, LONG))
    assert first["error"]["code"] == "budget_exceeded"
    assert "come back at" in first["error"]["message"]

    refused = await http.post(f"/threads/{thread_id}/runs", json=RUN)

    assert (refused.status_code, refused.json()["code"]) == (429, "budget_exceeded"), refused.text
    body = refused.json()
    assert body["detail"]["max_tokens"] == 1
    assert body["detail"]["resets_at"] in body["message"]
    assert datetime.fromisoformat(body["detail"]["resets_at"]).tzinfo is not None
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600
    async with subscribed(client, thread_id) as socket:
        answer = await command(socket, "run.start", RUN)
        assert (answer["type"], answer["error"], answer["message"]) == ("error", "invalid_argument", body["message"])
    assert len((await http.get(f"/threads/{thread_id}/runs")).json()) == 1
