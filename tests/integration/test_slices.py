"""Slices of a run's stream, over a real log and a real database: nothing is lost or told twice between two of them."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.limits.waits import Wait, waiting
from functions.api.slices import Slice
from functions.api.stream_modes import STREAM_MODES
from shared import events
from shared.database import connection, messages, runs
from shared.errors import EventLogUnavailableError, InvalidRequestError, NotFoundError
from shared.events import Event
from shared.stream import log
from shared.stream.redis_client import redis
from tests.integration.conftest import StartFunction
from tests.integration.databases import Database
from tests.integration.deployed import Answer, Deployed, HttpApi
from tests.thread_logs import hold_of, log_in_database, log_named

ALL_MODES = frozenset(STREAM_MODES)


@dataclass(frozen=True)
class Told:
    """One event of a stream."""

    event: str
    data: Any
    event_id: str


def parsed(text: str) -> list[Told]:
    """The events of a slice."""
    told: list[Told] = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        told.append(Told(fields["event"], json.loads(fields["data"]), fields["id"]))
    return told


class Conversation:
    """A thread with a run whose events and messages the test writes."""

    def __init__(self, database: Database, account_id: str, thread_id: UUID, run_id: UUID) -> None:
        self.database, self.account_id = database, account_id
        self.thread_id, self.run_id = thread_id, run_id
        self.last_seq = 0

    async def log(self, *told: Event, skip: int = 0) -> None:
        """Append events, behind ``skip`` numbers that nobody has."""
        first = self.last_seq + 1 + skip
        where = await log_in_database(self.thread_id)
        logged = [events.number(event, generation=where.generation, seq=first + n) for n, event in enumerate(told)]
        answer = await log.append(hold_of(where), logged, expected_seq=self.last_seq, proved=True)
        assert answer.answer == "ok"
        self.last_seq = logged[-1].seq

    async def say(self, text: str, *, type: messages.MessageType = "assistant") -> UUID:
        """A message of the run."""
        message_id = uuid4()
        async with connection() as taken:
            await messages.insert(
                taken,
                message_id=message_id,
                thread_id=self.thread_id,
                account_id=self.account_id,
                run_number=1,
                type=type,
                content={"role": type, "content": text},
                agent_run_id=self.run_id,
                thread_run_id=uuid4() if type == "assistant" else None,
            )
        return message_id

    async def answer(self, text: str) -> None:
        """An answer of the model, event by event, and its message."""
        message_id = await self.say(text)
        words = [{"type": "text-delta", "text": word} for word in text]
        await self.log(
            events.message_start(self.run_id, message_id, metadata={"model": "m"}),
            *(events.block_delta(self.run_id, 0, word) for word in words),
            events.message_finish(self.run_id, {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}),
        )

    async def begin(self) -> None:
        """The run starts with a question."""
        await self.say("question", type="user")
        await self.log(events.lifecycle(self.run_id, "running"))

    async def end(self) -> None:
        """The run has ended, and is settled."""
        await self.database.set_run(self.run_id, status="'completed'", settled_at="clock_timestamp()")

    async def slice(self, modes: Sequence[str] | frozenset[str] = ALL_MODES, **more: Any) -> list[Told]:
        """One slice, of what is there unless ``slice_s`` says otherwise."""
        async with connection() as taken:
            run = await runs.get(taken, agent_run_id=self.run_id, account_id=self.account_id)
        arguments: dict[str, Any] = {"slice_s": 0.0, "last_event_id": None, **more}
        where = await log_in_database(self.thread_id)
        async with waiting(self.account_id, longest_s=arguments["slice_s"]) as wait:
            return parsed(await Slice(run, where, wait, modes=frozenset(modes), **arguments).text())


@pytest.fixture
async def talk(database: Database, account_id: str) -> Conversation:
    thread_id = await database.new_thread(account_id)
    return Conversation(database, account_id, thread_id, await database.new_run(thread_id))


async def _whole(talk: Conversation) -> list[Told]:
    """A run with two answers, a tool between them, and another run's events in between."""
    await talk.begin()
    await talk.answer("Hel")
    await talk.log(
        events.tool_started(talk.run_id, "call-1", name="add", arguments={"a": 1}),
        events.tool_finished(talk.run_id, "call-1", output=3),
        events.custom(uuid4(), "run_queued", {"number": 2}),
        events.custom(talk.run_id, "summary", {"tokens": 5}),
    )
    await talk.answer("lo!")
    await talk.log(events.terminal(talk.run_id, "completed", None))
    await talk.end()
    return await talk.slice()


async def test_a_stream_is_told_in_order_from_beginning_to_end(talk: Conversation) -> None:
    told = await _whole(talk)
    assert [one.event for one in told[:2]] == ["metadata", "values"]
    assert told[0].data["run_id"] == str(talk.run_id)
    assert (told[-1].event, told[-1].data) == ("end", None)
    states = [[message["content"] for message in one.data["messages"]] for one in told if one.event == "values"]
    assert states == [["question"], ["question", "Hel"], ["question", "Hel", "lo!"], ["question", "Hel", "lo!"]]
    partial = [one.data[0]["content"] for one in told if one.event == "messages/partial"]
    assert partial == ["H", "He", "Hel", "l", "lo", "lo!"]
    seqs = [int(re.split("[.+~]", one.event_id)[0]) for one in told]
    assert seqs == sorted(seqs)
    ids = [one.event_id for one in told]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("modes", [ALL_MODES, *({mode} for mode in sorted(STREAM_MODES - {"lifecycle"}))], ids=str)
async def test_whoever_resumes_anywhere_gets_what_an_uninterrupted_reader_gets(
    talk: Conversation, modes: frozenset[str]
) -> None:
    await _whole(talk)
    whole = await talk.slice(modes)
    for place, one in enumerate(whole[:-1], start=1):
        rest = await talk.slice(modes, last_event_id=one.event_id)
        assert whole[:place] + rest == whole, one


async def test_what_comes_while_a_slice_waits_is_in_it(talk: Conversation) -> None:
    await talk.begin()
    waiting = asyncio.create_task(talk.slice(["messages-tuple"], slice_s=60.0))
    await talk.answer("Hi")
    await talk.log(events.terminal(talk.run_id, "completed", None))
    told = await waiting
    assert [one.event for one in told] == ["metadata", "messages", "messages", "messages", "end"]


async def test_slices_of_a_growing_log_are_together_the_whole(talk: Conversation) -> None:
    await talk.begin()
    told = await talk.slice()
    for text in ("one", "two"):
        await talk.answer(text)
        told += await talk.slice(last_event_id=told[-1].event_id)
    await talk.log(events.terminal(talk.run_id, "completed", None))
    await talk.end()
    told += await talk.slice(last_event_id=told[-1].event_id)
    assert told == await talk.slice()


async def test_a_slice_without_news_ends_with_a_real_event_from_where_it_goes_on(talk: Conversation) -> None:
    await talk.begin()
    await talk.log(*(events.custom(uuid4(), "summary", {}) for _ in range(3)))
    [quiet] = await talk.slice(last_event_id="1")
    assert (quiet.event, quiet.event_id) == ("metadata", str(talk.last_seq))
    fresh = await talk.slice(["messages"])
    assert [one.event for one in fresh] == ["metadata", "metadata"]


async def test_an_end_that_was_lost_with_the_log_is_told_from_the_database(talk: Conversation) -> None:
    whole = await _whole(talk)
    await redis().flushall(target_nodes="all")
    for cursor in (None, "3"):
        told = await talk.slice(["messages", "values"], last_event_id=cursor)
        [complete] = [one.data for one in told if one.event == "messages/complete"]
        assert [message["content"] for message in complete] == ["Hel", "lo!"]
        assert [one.event for one in told][-2:] == ["values", "end"]
        for place, one in enumerate(told[:-1], start=1):
            rest = await talk.slice(["messages", "values"], last_event_id=one.event_id)
            assert told[place:] == rest, one
        assert told[-2].data == [one.data for one in whole if one.event == "values"][-1]


async def test_whoever_has_the_end_is_told_only_that_it_is_the_end(talk: Conversation) -> None:
    await _whole(talk)
    await talk.database.connection.execute(
        """
        INSERT INTO thread_events (thread_id, agent_run_id, channel, data, timestamp_ms, seq, logged_at)
        VALUES ($1, $2, 'lifecycle', '{}', 0, $3, now())
        """,
        talk.thread_id,
        talk.run_id,
        talk.last_seq,
    )
    for flushed in (False, True):
        if flushed:
            await redis().flushall(target_nodes="all")
        assert await talk.slice(last_event_id=str(talk.last_seq)) == [Told("end", None, str(talk.last_seq))]


async def test_what_the_log_has_dropped_is_told_from_the_database(talk: Conversation) -> None:
    await talk.begin()
    await talk.answer("Hello")
    await talk.log(events.custom(talk.run_id, "summary", {}))
    await redis().xtrim(f"{{{(await log_in_database(talk.thread_id)).generation}}}:events", maxlen=1, approximate=False)
    for cursor in ("2", None):
        told = await talk.slice(["messages"], last_event_id=cursor)
        [complete] = [one.data for one in told if one.event == "messages/complete"]
        assert [message["content"] for message in complete] == ["Hello"]
    whole = await talk.slice(["messages", "messages-tuple", "values", "custom"], last_event_id="2")
    for place, one in enumerate(whole[:-1], start=1):
        rest = await talk.slice(["messages", "messages-tuple", "values", "custom"], last_event_id=one.event_id)
        assert whole[place:] == rest, one


async def test_a_declared_gap_is_followed_by_what_the_database_has(talk: Conversation) -> None:
    await talk.begin()
    message_id = await talk.say("Hello")
    await talk.log(events.message_start(talk.run_id, message_id, metadata={}))
    await talk.log(events.gap(first=3, last=9), events.values(talk.thread_id, [{"content": "Hello"}]), skip=7)
    await talk.log(events.message_finish(talk.run_id, None))
    told = await talk.slice(["messages", "values"])
    contents = [[message["content"] for message in one.data] for one in told if one.event == "messages/complete"]
    assert contents == [["Hello"], ["Hello"]]
    assert [one.data for one in told if one.event == "values"][1] == {"messages": [{"content": "Hello"}]}


async def test_a_stream_of_a_run_that_was_deleted_is_404(talk: Conversation) -> None:
    await talk.begin()
    async with connection() as taken:
        run = await runs.get(taken, agent_run_id=talk.run_id, account_id=talk.account_id)
    await talk.database.connection.execute("DELETE FROM agent_runs WHERE agent_run_id = $1", talk.run_id)
    with pytest.raises(NotFoundError):
        await Slice(
            run, log_named(run.thread_id), Wait(), modes=frozenset({"custom"}), last_event_id="1", slice_s=0.0
        ).text()


@pytest.mark.parametrize("event_id", ["x", "-1", "1.x", "1.", "9" * 30, "²", "1.2.3"])
async def test_an_id_that_is_none_of_ours_is_refused(talk: Conversation, event_id: str) -> None:
    with pytest.raises(InvalidRequestError, match="Last-Event-ID"):
        await talk.slice(last_event_id=event_id)


async def test_a_failed_runs_stream_ends_with_why(talk: Conversation) -> None:
    await talk.begin()
    await talk.log(events.terminal(talk.run_id, "failed", {"code": "model_error", "message": "it broke"}))
    told = await talk.slice(["custom"])
    assert [(one.event, one.data) for one in told[1:]] == [
        ("error", {"error": "model_error", "message": "it broke"}),
        ("end", None),
    ]


def _http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function("functions.api.http.main.handler"))


async def test_a_slice_says_where_to_go_on(start_function: StartFunction, deployed: Deployed, account_id: str) -> None:
    http = _http(start_function)

    def ask(method: str, path: str, body: object = None, **more: Any) -> Answer:
        return http.request(method, path, body, account_id=account_id, **more)

    thread_id = ask("POST", "/threads", {}).body["thread_id"]
    run = ask("POST", f"/threads/{thread_id}/runs", {"assistant_id": "agent", "input": {"messages": "hi"}}).body
    path = f"/threads/{thread_id}/runs/{run['run_id']}"
    await deployed.database.set_run(
        UUID(run["run_id"]), status="'completed'", settled_at="clock_timestamp()", ended_at="clock_timestamp()"
    )
    answer = ask("GET", f"{path}/stream", query="stream_mode=values&stream_mode=messages")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.headers["content-location"] == path
    location, _, query = answer.headers["location"].partition("?")
    assert location == f"/resume{path}/stream"
    told = parsed(answer.body)
    assert [one.event for one in told] == ["metadata", "values", "values", "end"]

    # WHEN the client asks there for the run, as it does where it has not seen the end
    asked = ask("GET", f"/resume{path}").body
    # THEN the run goes on, and the client comes back
    assert (asked["status"], ask("GET", path).body["status"]) == ("running", "success")
    again = ask("GET", location, query=query, headers={"last-event-id": told[0].event_id})
    assert parsed(again.body) == told[1:]

    for more in ({"query": "stream_mode=debug"}, {"query": "cancel_on_disconnect=true"}):
        refused = ask("GET", f"{path}/stream", **more)
        assert (refused.status, refused.body["code"]) == (501, "not_supported")
    unknown = ask("GET", f"{path}/stream", headers={"last-event-id": "x"})
    assert (unknown.status, unknown.body["code"]) == (422, "invalid_argument")
    for stranger in (f"{path}/stream", f"/resume{path}", f"/resume{path}/stream", f"{path}/join"):
        assert http.request("GET", stranger, account_id="a stranger").status == 404


async def test_streaming_with_a_key_starts_one_run(
    start_function: StartFunction, deployed: Deployed, account_id: str
) -> None:
    http = _http(start_function)
    thread_id = http.request("POST", "/threads", {}, account_id=account_id).body["thread_id"]
    body = {"assistant_id": "agent", "input": {"messages": "hi"}}
    headers = {"idempotency-key": "k"}

    def streamed() -> Answer:
        return http.request("POST", f"/threads/{thread_id}/runs/stream", body, account_id=account_id, headers=headers)

    waiting = asyncio.create_task(asyncio.to_thread(streamed))
    row = None
    while row is None:
        # Each look is awaited, and takes its time: the run is there, or will be.
        row = await deployed.database.connection.fetchrow(
            "SELECT agent_run_id FROM agent_runs WHERE thread_id = $1", UUID(thread_id)
        )
    await deployed.database.set_run(row["agent_run_id"], status="'completed'", settled_at="clock_timestamp()")
    answers = [await waiting, await asyncio.to_thread(streamed)]
    assert {answer.headers["content-location"].rsplit("/", 1)[1] for answer in answers} == {str(row["agent_run_id"])}
    for answer in answers:
        assert [one.event for one in parsed(answer.body)] == ["metadata", "values", "values", "end"]


async def test_while_redis_is_away_a_run_that_has_ended_is_told_from_the_database(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise EventLogUnavailableError

    await _whole(talk)
    for name in ("read", "wait", "read_back"):
        monkeypatch.setattr(log, name, away)
    for cursor in (None, "3"):
        told = await talk.slice(["messages"], last_event_id=cursor)
        [complete] = [one.data for one in told if one.event == "messages/complete"]
        assert [message["content"] for message in complete] == ["Hel", "lo!"]
        assert told[-1].event == "end"
    # One that has not ended goes on: the client comes back.
    await talk.database.set_run(talk.run_id, status="'running'", settled_at="NULL")
    assert [one.event for one in await talk.slice(["messages"], last_event_id="3")] == ["metadata"]


async def test_a_slice_is_no_larger_than_an_answer_may_be(talk: Conversation) -> None:
    await talk.begin()
    for _ in range(5):
        await talk.log(
            *(events.custom(talk.run_id, "summary", {"text": '"' * 24_000}) for _ in range(20)),
        )
    first = await talk.slice(["custom"])
    # A quotation mark takes two characters in JSON, and four in JSON within JSON, which is what an answer is.
    assert 40 < len(first) < 60
    rest: list[Told] = []
    while len(rest) < 100 - len(first):
        rest += await talk.slice(["custom"], last_event_id=(rest or first)[-1].event_id)
    assert [int(one.event_id) for one in first[1:] + rest if one.event == "custom"] == list(range(2, 102))
