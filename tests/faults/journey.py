"""One run on its way through a fault: accepted, held at a point, ended; and what must be true of it then."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import asyncpg
import httpx
from langgraph_sdk import get_client
from redis.exceptions import RedisClusterException, RedisError

from tests.faults.control import Stop
from tests.faults.readers import Answer, Readers
from tests.faults.stand import Stand
from tests.faults.verdict import log_problems, message_problems, script
from tests.thread_logs import events_key

Path = Literal["queue", "workflow"]

PATIENCE_S = 150.0
# Within which clients know what has been told.
_TOLD_S = 60.0
# What a server that is away is known by.
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, RedisClusterException)
_MODEL_TURNS = 3
_TOKENS = 16
_HISTORY = 30
_FILLER = "All work and no play makes for long conversations. " * 20
_SERVICES = {"queue": "queue-runner", "workflow": "workflow-runner"}
# Where another function is than the one that executes.
_SERVICE_OF_POINT = {
    **dict.fromkeys(("watched", "dispatch", "dispatched"), "http"),
    **dict.fromkeys(("summary_claim", "summary_ask", "summary_told", "summary_kept"), "summarizer"),
    **dict.fromkeys(("summary_hand_over", "summary_handed_over"), "summarizer"),
}


@dataclass(frozen=True)
class Case:
    """A fault of a kind at a point of a run on a path."""

    kind: str
    point: str
    path: Path

    @property
    def summarises(self) -> bool:
        """Whether the run's context has to be summarised first."""
        return self.point.startswith("summary")

    @property
    def service(self) -> str:
        """The function that comes to the point."""
        return _SERVICE_OF_POINT.get(self.point) or _SERVICES[self.path]

    def __str__(self) -> str:
        """For people."""
        return f"{self.kind:20} {self.point:14} {self.path}"


@dataclass
class Journey:
    """A run under a case, and the clients that watch it.

    ``proof``: how the fault is known to have taken effect; ``problems``: what must not be; ``clients``: how many
    watched.
    """

    case: Case
    stand: Stand
    account_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    thread_id: str = ""
    run_id: str = ""
    assistant_id: str = ""
    run_ids: list[str] = field(default_factory=list[str])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    stop: Stop = field(default_factory=Stop)
    proof: str = ""
    problems: list[str] = field(default_factory=list[str])
    began_at: float = 0.0
    waited_s: float = 0.0
    clients: int = 0
    accepting: "asyncio.Task[None] | None" = None
    tokens: int = _TOKENS
    settled_before: list[str] = field(default_factory=list[str])
    """Its thread's runs that were settled when Redis lost the log."""
    place: ClassVar[int] = 0

    """Which run of its thread it is."""
    patience_s: ClassVar[float] = PATIENCE_S
    """How long its end is waited for."""

    def __post_init__(self) -> None:
        """Its own client."""
        stack = self.stand.stack
        self.mark = uuid.uuid4().hex
        headers = {"authorization": f"Bearer {stack.token(self.account_id)}"}
        self._http = httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=90)
        self._sdk = get_client(url=stack.base_url, api_key=None, headers=headers)
        self.readers = Readers(stack.client_of(self.account_id))

    @property
    def pid(self) -> int:
        """The process that waits at the point."""
        return self.stop.report["pid"]

    async def begin(self) -> None:
        """Have the run accepted, however often that has to be asked for, and wait at its point."""
        agent = {"tools": ["effects"], "processor": {"native_tool_calling": True, "xml_tool_calling": False}}
        found = await self.asked("POST", "/assistants", {"graph_id": "agent", "config": {"configurable": agent}})
        self.assistant_id = found["assistant_id"]
        self.thread_id = (await self.asked("POST", "/threads", {}))["thread_id"]
        if self.case.summarises:
            for number in range(_HISTORY):
                body = {"role": ["user", "assistant"][number % 2], "content": f"{number}: {_FILLER}"}
                await self.asked("POST", f"/threads/{self.thread_id}/messages", body)
        await self.readers.begin(self.thread_id)
        await self._start()

    async def _start(self) -> None:
        """Start the run that is to come to the point."""
        self.stop_at_point()
        self.accept_later(self.said(script(self.mark, tokens=self.tokens)))

    def stop_at_point(self) -> None:
        """Have the run that begins now wait at the case's point."""
        self.stop = self.stand.control.stop_at(self.thread_id, self.case.point, service=self.case.service)
        self.began_at = time.monotonic()

    def said(self, text: str) -> dict[str, Any]:
        """The body of a run that is told something."""
        return self.asked_of({"input": {"messages": [{"role": "user", "content": text}]}})

    def asked_of(self, request: dict[str, Any]) -> dict[str, Any]:
        """The body of a run, on the case's path."""
        options = self.options | ({"queue_time_s": 0} if self.case.path == "workflow" else {})
        return {"assistant_id": self.assistant_id, "config": {"configurable": options}, **request}

    def accept_later(self, body: dict[str, Any]) -> None:
        """Have a run accepted, while others go on."""
        self.accepting = asyncio.create_task(self._accept(body))

    async def _accept(self, body: dict[str, Any]) -> None:
        run = await self.asked("POST", f"/threads/{self.thread_id}/runs", body)
        self.follow(run["run_id"])

    def follow(self, run_id: str) -> None:
        """The run is accepted: it is followed."""
        self.run_id = run_id
        self.run_ids.append(run_id)
        self.readers.follow(self._sdk, self.run_id)

    async def waits(self) -> None:
        """The run has come to its point."""
        if not await asyncio.to_thread(self.stop.reached.wait, PATIENCE_S):
            passed = [f"{found['service']}: {found['point']}" for found in self.stand.control.passed(self.thread_id)]
            raise AssertionError(f"{self.case}: never came to its point, but by {passed}")
        self.waited_s = time.monotonic() - self.began_at
        await self.readers.at_point()

    def release(self, answer: str = "go") -> None:
        """Let the run go on; the client that was cut off comes back."""
        self.stop.release(answer)
        self.readers.come_back()

    async def asked(self, method: str, path: str, body: Any = None) -> Any:
        """What is answered in the end."""
        return (await self.answered(method, path, frozenset(), body)).json()

    async def answered(self, method: str, path: str, ends: Collection[int], body: Any = None) -> httpx.Response:
        """The same request under the same key, until it is accepted, or answered with one of ``ends``."""
        key = {"idempotency-key": uuid.uuid4().hex} if method == "POST" else {}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    answer = await self._http.request(method, path, json=body, headers=key)
                    if answer.status_code < 300 or answer.status_code in ends:
                        return answer
                    assert answer.status_code >= 500 or answer.status_code in {409, 429}, answer.text
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.3)  # between two requests of a patient client

    async def ticket(self) -> httpx.Response:
        """What is answered to a request for a ticket, whatever that is."""
        return await self._http.post("/ws-tickets")

    async def eventually[T](
        self, ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str, *, patience_s: float = PATIENCE_S
    ) -> T:
        """Ask until the answer ``holds``; a server that is away is asked again."""
        answer: T | str = "no answer"
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    try:
                        answer = await ask()
                        if holds(answer):
                            return answer
                    except AWAY as error:
                        answer = repr(error)
                    await asyncio.sleep(0.1)  # between two looks at an observable state
        except TimeoutError:
            raise AssertionError(f"{what}: still {str(answer)[:500]}") from None

    async def note_settled(self) -> None:
        """Redis has just lost the log: note what was settled before."""
        settled = "SELECT array_agg(agent_run_id::text) FROM agent_runs WHERE thread_id = $1 AND settled_at IS NOT NULL"
        self.settled_before = await self.fetch_value(settled, uuid.UUID(self.thread_id)) or []

    async def row(self) -> dict[str, Any]:
        """The case's run as PostgreSQL has it."""
        connection = await asyncpg.connect(self.stand.stack.fields["database_url"])
        try:
            found = await connection.fetchrow(
                "SELECT * FROM agent_runs WHERE thread_id = $1 ORDER BY number LIMIT 1 OFFSET $2",
                uuid.UUID(self.thread_id),
                self.place,
            )
            return dict(found) if found else {}
        finally:
            await connection.close()

    async def runs(self) -> int:
        """How many runs the thread has."""
        counted = "SELECT count(*) FROM agent_runs WHERE thread_id = $1"
        return await self.fetch_value(counted, uuid.UUID(self.thread_id))

    async def events(self) -> list[dict[str, Any]]:
        """The thread's log."""
        key = await events_key(self.stand.stack.fields["database_url"], self.thread_id)
        entries = await asyncio.to_thread(lambda: self.stand.redis.xrange(key))
        return [json.loads(entry["frame"]) for _, entry in entries]

    async def end(self) -> None:
        """Wait for the run's end and note what is wrong with it, and with what its clients know."""
        self.readers.come_back()
        try:
            if self.accepting is not None:
                await self.accepting
            row = await self.eventually(self.row, _is_settled, "settled", patience_s=self.patience_s)
            await self.judge(row)
            await self._judge_readers()
        except Exception as error:
            # The other cases of the round are judged all the same.
            self.problems.append(f"lost: {error if isinstance(error, AssertionError) else repr(error)}")
        finally:
            await self.close()

    async def close(self) -> None:
        """End its clients."""
        self.clients = self.readers.count
        await asyncio.gather(self.readers.close(), self._http.aclose(), self._sdk.aclose())

    async def judge(self, row: dict[str, Any]) -> None:
        """Note what is wrong with the run and its thread, which is settled."""
        if row["status"] != "completed":
            self.problems.append(f"lost: it ended {row['status']}: {row['error']}")
        if await self.runs() != 1:
            self.problems.append("duplicated: it was recorded twice")
        effects = {key: self.stand.control.effects(self.thread_id, key) for key in ("note", "charge")}
        own = await self.messages()
        self.problems += message_problems(own, tokens=self.tokens, notes=effects["note"], charges=effects["charge"])
        calls = await self._model_calls()
        if calls > _MODEL_TURNS + row["attempt"] - 1:
            self.problems.append(f"duplicated: {calls} calls of the model in {row['attempt']} attempts")

    async def messages(self) -> list[dict[str, Any]]:
        """The messages of the thread's runs."""
        messages = await self.asked("GET", f"/threads/{self.thread_id}/messages?limit=1000")
        return [message for message in messages if message["type"] != "summary"][
            _HISTORY if self.case.summarises else 0 :
        ]

    async def goes_on(self) -> None:
        """A later run of the thread ends well, whatever became of this one."""
        run = await self.asked("POST", f"/threads/{self.thread_id}/runs", self.said("[[tokens 4]]"))
        self.run_ids.append(run["run_id"])

        async def status() -> str:
            found = "SELECT status FROM agent_runs WHERE agent_run_id = $1 AND settled_at IS NOT NULL"
            return await self.fetch_value(found, uuid.UUID(run["run_id"])) or "not settled"

        ended = await self.eventually(status, lambda found: found != "not settled", "a later run settled")
        if ended != "completed":
            self.problems.append(f"lost: a later run of the thread ended {ended}")

    async def _judge_readers(self) -> None:
        """All that was told until now is in the log and known to every client, or said to be missing."""
        last_seq = await self._told()

        async def known() -> bool:
            return self.readers.know(last_seq)

        with contextlib.suppress(AssertionError):  # what they miss is told below
            await self.eventually(known, bool, "known", patience_s=_TOLD_S)
        answers = [
            Answer(message["message_id"], message["agent_run_id"], message["content"]["content"])
            for message in await self.messages()
            if message["type"] == "assistant" and message["content"].get("content")
        ]
        log = await self.events()
        # A log that is lost when all of it has been told is not written again: who comes later is told of a gap.
        self.problems += log_problems(log, run_ids=[one for one in self.run_ids if one not in self.settled_before])
        self.problems += self.readers.judged(last_seq=last_seq, log=log, answers=answers)

    async def _told(self) -> int:
        """The number of the thread's newest fact: a run's end, if all have ended."""
        return await self.fetch_value(
            "SELECT coalesce(max(seq), 0) FROM thread_events WHERE thread_id = $1", uuid.UUID(self.thread_id)
        )

    async def fetch_value(self, query: str, *arguments: Any) -> Any:
        """A value, as PostgreSQL has it."""
        connection = await asyncpg.connect(self.stand.stack.fields["database_url"])
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def _model_calls(self) -> int:
        async with httpx.AsyncClient(base_url=self.stand.stack.fields["model_url"], timeout=30) as model:
            answer = await model.get("/calls", params={"contains": self.mark, "last": 500})
            # A summariser quotes what it was given.
            return sum("ummari" not in str(call["body"]["messages"][0]) for call in answer.json()["calls"])


def _is_settled(row: dict[str, Any]) -> bool:
    return row.get("settled_at") is not None
