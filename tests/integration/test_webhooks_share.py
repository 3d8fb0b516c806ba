"""Whose receivers take their time: an account holds its share of the watch function, and no more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from functions.api.watch import main
from functions.api.webhooks.delivery import deliver
from shared.errors import TooManyWaitsError
from shared.runs.settle import Done
from tests.integration import opened
from tests.integration.databases import Database
from tests.integration.test_webhooks import Hook, receiver
from tests.integration.waiting import until
from tests.webhook_receiver import Receiver

__all__ = ["receiver"]

MOST = 2
TARPIT = "127.0.0.2"


@pytest.fixture
async def tarpit(
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """What a receiver holds that takes whatever it is sent, and says nothing."""
    held: list[asyncio.StreamWriter] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.read()

    allowed = ",".join(f"{host}:{receiver.port}" for host in ("127.0.0.1", TARPIT))
    monkeypatch.setenv("WEBHOOK_ALLOWED_PRIVATE", allowed)
    opened.forget_settings()
    server = await asyncio.start_server(hold, TARPIT, receiver.port)
    yield held
    server.close()
    for writer in held:
        writer.close()


async def _hooks(database: Database, account_id: str, url: str, number: int) -> list[Hook]:
    hooks = [Hook(database, account_id, await database.new_thread(account_id)) for _ in range(number)]
    for hook in hooks:
        await hook.begin(url)
    return hooks


async def test_receivers_that_answer_nothing_hold_their_accounts_places_and_no_more(
    database: Database,
    account_id: str,
    tarpit: list[asyncio.StreamWriter],
    receiver: Receiver,
) -> None:
    await database.connection.execute("UPDATE plans SET max_webhooks = $1", MOST)
    slow = await _hooks(database, account_id, f"http://{TARPIT}:{receiver.port}/", MOST + 2)
    held = [asyncio.create_task(deliver(hook.message)) for hook in slow[:MOST]]
    try:
        await until(lambda: len(tarpit) == MOST)
        for hook in slow[MOST:]:
            with pytest.raises(TooManyWaitsError):
                await deliver(hook.message)
            assert (await hook.row())["attempts"] == 0
        [others] = await _hooks(database, f"{account_id}-another", receiver.url(), 1)
        await deliver(others.message)
        assert (await others.row())["status"] == "delivered"
        assert len(tarpit) == MOST
    finally:
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
    assert await database.connection.fetchval("SELECT count(*) FROM waits") == 0


async def test_who_has_no_place_is_looked_at_again_soon(
    database: Database,
    account_id: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [hook] = await _hooks(database, account_id, receiver.url(), 1)
    again: list[float] = []

    async def show_again(record: Any, *, after_s: float) -> None:
        del record
        again.append(after_s)

    monkeypatch.setattr(main.queue, "show_again", show_again)
    monkeypatch.setattr(main.queue, "is_watch", lambda _: True)
    await database.connection.execute("UPDATE plans SET max_webhooks = 1")
    await database.connection.execute(
        "INSERT INTO waits VALUES ($1, 'webhook', 1, $2, now() + interval '1 min')", account_id, uuid4()
    )
    record = {"messageId": "one"}
    defects: list[Exception] = []
    for _ in range(2):
        assert await main._tell(hook.message, record, Done(), defects) == "one"
    assert defects == []
    assert [main._BUSY_S[0] <= after_s <= main._BUSY_S[1] for after_s in again] == [True, True]
    # Those that wait do not all come at once.
    assert len(set(again)) == 2
    assert (await hook.row())["attempts"] == 0
