"""One of a batch meets an error that nobody expects: the others are looked after, and it is seen."""

from typing import Any

import pytest

from functions.api.watch import main
from shared.aws.queue import RunMessage
from shared.telemetry import ids
from tests.integration.databases import Database
from tests.integration.queues import Queues
from tests.integration.watch_records import ABANDONED, watched_run


@pytest.mark.parametrize("where", ["look_at", "_due_in_s"])
async def test_an_error_of_one_run_fails_no_other_of_the_batch(
    database: Database, queues: Queues, account_id: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    # GIVEN a batch of runs whose executors have died, with one in the middle that the watch cannot look after
    watched = [await watched_run(database, account_id, ABANDONED) for _ in range(3)]
    broken = watched[1][0]
    do = getattr(main, where)

    async def failing(message: RunMessage, **options: Any) -> Any:
        if message == broken:
            raise TypeError("a fault of ours")
        return await do(message, **options)

    logged: list[str | None] = []
    monkeypatch.setattr(main, where, failing)
    monkeypatch.setattr(main.logger, "exception", lambda *_: logged.append(ids().get("agent_run_id")))
    # WHEN they are looked after THEN the invocation fails, so that an alarm sees it
    with pytest.raises(ExceptionGroup) as raised:
        await main._handle([record for _, record in watched])
    assert [type(error) for error in raised.value.exceptions] == [TypeError]
    # AND the log says of which run
    assert logged == [str(broken.agent_run_id)]
    # AND the others have been dispatched
    dispatched = {message.agent_run_id for message in await queues.visible("retry")}
    assert dispatched >= {message.agent_run_id for message, _ in (watched[0], watched[2])}
