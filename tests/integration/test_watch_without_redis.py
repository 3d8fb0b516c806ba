"""Redis takes what it is sent, and says nothing: the watch goes on with what needs no Redis, and loses no time."""

import socket
from uuid import UUID

import pytest

from functions.api.watch import main
from shared.runs import settle
from tests.integration.conftest import StartFunction, create_queues
from tests.integration.databases import Database
from tests.integration.deployed import Deployed
from tests.integration.queues import Queues
from tests.integration.watch_records import ABANDONED, FAILED, watched_run
from tests.silent import tries_at


async def test_a_silent_redis_is_tried_once_a_batch(
    deployed: Deployed, start_function: StartFunction, account_id: str
) -> None:
    # GIVEN many ends that are not in the log, and behind them a run whose executor has died
    urls = await create_queues()
    environment = {f"{name.upper()}_QUEUE_URL": url for name, url in urls.items()}
    ended = [await watched_run(deployed.database, account_id, FAILED, owes=True) for _ in range(9)]
    abandoned, record = await watched_run(deployed.database, account_id, ABANDONED)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        watch = start_function("functions.api.watch.main.handler", **environment, REDIS_URL=url)
        # WHEN they come in one batch
        watch.invoke({"Records": [*(record for _, record in ended), record]})
        # THEN the function has waited for Redis once, whatever the batch holds
        assert tries_at(silent) == 1
    assert [message.agent_run_id for message in await Queues(urls).visible("retry")] == [abandoned.agent_run_id]
    for message, _ in ended:
        assert (await deployed.database.run(message.agent_run_id))["settled_at"] is None


async def test_what_needs_no_redis_comes_before_what_does(
    database: Database, queues: Queues, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a batch that begins with an end that is to be told, behind which a run of the thread waits
    ended, first = await watched_run(database, account_id, FAILED, owes=True)
    following = await database.new_run(ended.thread_id)
    abandoned, last = await watched_run(database, account_id, ABANDONED)
    dispatched: dict[str, list[UUID]] = {}

    async def drain(**_: object) -> None:
        for name in ("runs", "retry"):
            dispatched[name] = [message.agent_run_id for message in await queues.visible(name)]

    monkeypatch.setattr(settle, "drain", drain)
    await main._handle([first, last])
    # THEN whoever waits to be executed has not waited for it
    assert dispatched == {"runs": [following], "retry": [abandoned.agent_run_id]}
