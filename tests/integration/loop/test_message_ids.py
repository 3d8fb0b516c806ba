"""The id of an answer is told before its message stands anywhere: nobody else may take it.

If it is taken all the same, the run ends at once, and is charged.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.runner import turn
from shared.database import transaction
from shared.errors import ConflictError, InvalidRequestError
from shared.runs.appending import append_while_idle
from shared.runs.record import NewMessage, NewRun, append_message, record_run
from tests.integration.databases import Database
from tests.integration.loop import invariants
from tests.integration.loop.conftest import Play
from tests.integration.loop.faults import Fault
from tests.integration.loop.history import History
from tests.integration.loop.scenario import AttemptPlan, RunPlan, Scenario
from tests.integration.loop.script import Answer, Call, ScriptedLlm

type Act = Callable[[UUID], Awaitable[None]]

NATIVE: dict[str, Any] = {"native_tool_calling": True}
ON_STREAM = NATIVE | {"execute_on_stream": True}


@pytest.fixture
def while_it_streams(monkeypatch: pytest.MonkeyPatch) -> Callable[[Act], None]:
    """Has something done once, with the id that clients were told of the first answer, before its first chunk."""
    told: list[UUID] = []
    message_start, stream = turn.events.message_start, ScriptedLlm.stream

    def start(run_id: UUID, message_id: UUID, **more: Any) -> Any:
        told.append(message_id)
        return message_start(run_id, message_id, **more)

    def does(act: Act) -> None:
        async def streamed(self: ScriptedLlm, **options: Any) -> AsyncIterator[Any]:
            chunks = await stream(self, **options)
            monkeypatch.setattr(ScriptedLlm, "stream", stream)
            await act(told[-1])
            return chunks

        monkeypatch.setattr(ScriptedLlm, "stream", streamed)

    monkeypatch.setattr(turn.events, "message_start", start)
    return does


def _said(message_id: UUID | None = None) -> NewMessage:
    return NewMessage(type="user", content={"role": "user", "content": "mine"}, message_id=message_id)


@pytest.mark.parametrize("way", ["message", "state", "run"])
async def test_nobody_takes_the_id_of_an_answer_that_streams(
    play: Play, database: Database, account_id: str, while_it_streams: Callable[[Act], None], way: str
) -> None:
    thread_id = await database.new_thread(account_id)

    async def take(message_id: UUID) -> None:
        new = _said(message_id)
        with pytest.raises(InvalidRequestError, match="made by the service"):
            match way:
                case "message":
                    await append_message(account_id=account_id, thread_id=thread_id, new=new)
                case "state":
                    await append_while_idle(account_id=account_id, thread_id=thread_id, new=[_said(), new])
                case _:
                    run = NewRun(account_id=account_id, thread_id=thread_id, assistant_id="agent", messages=[new])
                    await record_run(run)

    while_it_streams(take)
    history = await play(Scenario((Answer((Call("put"),)), Answer()), (RunPlan(),), ON_STREAM))
    assert [ended.row["status"] for ended in history.ended] == ["completed", "completed"]
    assert not await database.connection.fetchval("SELECT count(*) FROM messages WHERE thread_id = $1", thread_id)


async def _taken(database: Database, account_id: str, message_id: UUID) -> None:
    await database.connection.execute(
        "INSERT INTO messages (message_id, thread_id, account_id, run_number, position, type, content)"
        " VALUES ($1, $2, $3, 1, 0, 'user', '{}')",
        message_id,
        await database.new_thread(account_id),
        account_id,
    )


@pytest.mark.parametrize("interrupted", [None, "stop", "timed_out"])
@pytest.mark.parametrize("processor", [NATIVE, ON_STREAM], ids=["after", "on stream"])
async def test_an_id_that_is_taken_all_the_same_ends_the_run_at_once_and_it_is_charged(
    play: Play,
    database: Database,
    *,
    account_id: str,
    while_it_streams: Callable[[Act], None],
    monkeypatch: pytest.MonkeyPatch,
    processor: dict[str, Any],
    interrupted: Any,
) -> None:
    async def unchecked(_: History) -> None:
        """The invariants are of answers whose ids are their own."""

    monkeypatch.setattr(invariants, "check", unchecked)
    while_it_streams(partial(_taken, database, account_id))
    faults = () if interrupted is None else (Fault("chunk", 2, interrupted),)
    history = await play(Scenario((Answer((Call("post"),)),), (RunPlan((AttemptPlan(faults),)),), processor))
    row = history.ended[0].row
    assert (row["status"], json.loads(row["error"])["code"]) == ("failed", "message_id_taken")
    assert len(history.ended[0].attempts) == 1
    assert json.loads(row["usage"])["total_tokens"] > 0


@pytest.mark.parametrize("action", ["out_of_time", "lose", "drain"])
async def test_an_answer_that_is_given_up_is_charged_whoever_has_its_id(
    play: Play, database: Database, account_id: str, while_it_streams: Callable[[Act], None], action: Any
) -> None:
    while_it_streams(partial(_taken, database, account_id))
    plan = RunPlan((AttemptPlan((Fault("chunk", 1, action),)),))
    history = await play(Scenario((Answer(),), (plan,), NATIVE))
    usages = [charge["usage"] for charge in await history.charged()]
    assert sum("estimated" in usage for usage in usages) == 1


async def test_an_id_that_stands_in_the_thread_is_a_conflict_as_ever(
    play: Play, database: Database, account_id: str
) -> None:
    history = await play(Scenario((Answer(),), (RunPlan(),), NATIVE))
    answer = next(row for row in await history.messages() if row["type"] == "assistant")
    again = {"account_id": history.account_id, "thread_id": history.thread_id}
    with pytest.raises(ConflictError, match="already exists"):
        await append_message(**again, new=_said(answer["message_id"]))
    # Elsewhere nobody is told whether it is there.
    for unknown in (answer["message_id"], UUID(int=answer["message_id"].int ^ 1)):
        with pytest.raises(InvalidRequestError, match="made by the service"):
            await append_message(
                account_id=account_id, thread_id=await database.new_thread(account_id), new=_said(unknown)
            )
    # A client's own is its own, of whatever version it may be.
    mine = uuid4()
    assert await append_message(**again, new=_said(mine)) == mine
    async with transaction() as taken:
        assert await taken.fetchval("SELECT count(*) FROM messages WHERE message_id = $1", mine) == 1
