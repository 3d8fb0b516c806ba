"""One run on its way through a fault: accepted, held at a point, ended; and what must be true of it then."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg
import httpx
from redis.exceptions import RedisClusterException, RedisError

from tests.faults.control import Stop
from tests.faults.stand import Stand
from tests.faults.verdict import log_problems, message_problems, script
from tests.thread_logs import events_key

Path = Literal["queue", "workflow"]

PATIENCE_S = 150.0
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
    """A run under a case. ``proof``: how the fault is known to have taken effect; ``problems``: what must not be."""

    case: Case
    stand: Stand
    account_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    thread_id: str = ""
    run_id: str = ""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    stop: Stop = field(default_factory=Stop)
    proof: str = ""
    problems: list[str] = field(default_factory=list[str])
    began_at: float = 0.0
    waited_s: float = 0.0
    accepting: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        """Its own client."""
        stack = self.stand.stack
        self.mark = uuid.uuid4().hex
        self._http = httpx.AsyncClient(
            base_url=stack.base_url, headers={"authorization": f"Bearer {stack.token(self.account_id)}"}, timeout=90
        )

    @property
    def pid(self) -> int:
        """The process that waits at the point."""
        return self.stop.report["pid"]

    async def begin(self) -> None:
        """Have the run accepted, however often that has to be asked for, and wait at its point."""
        agent = {"tools": ["effects"], "processor": {"native_tool_calling": True, "xml_tool_calling": False}}
        assistant = await self._asked("POST", "/assistants", {"graph_id": "agent", "config": {"configurable": agent}})
        self.thread_id = (await self._asked("POST", "/threads", {}))["thread_id"]
        if self.case.summarises:
            for number in range(_HISTORY):
                body = {"role": ["user", "assistant"][number % 2], "content": f"{number}: {_FILLER}"}
                await self._asked("POST", f"/threads/{self.thread_id}/messages", body)
        self.stop = self.stand.control.stop_at(self.thread_id, self.case.point, service=self.case.service)
        options = self.options | ({"queue_time_s": 0} if self.case.path == "workflow" else {})
        body = {
            "assistant_id": assistant["assistant_id"],
            "input": {"messages": [{"role": "user", "content": script(self.mark, tokens=_TOKENS)}]},
            "config": {"configurable": options},
        }
        self.began_at = time.monotonic()
        self.accepting = asyncio.create_task(self._accept(body))

    async def _accept(self, body: dict[str, Any]) -> None:
        run = await self._asked("POST", f"/threads/{self.thread_id}/runs", body)
        self.run_id = run["run_id"]

    async def waits(self) -> None:
        """The run has come to its point."""
        if not await asyncio.to_thread(self.stop.reached.wait, PATIENCE_S):
            passed = [f"{found['service']}: {found['point']}" for found in self.stand.control.passed(self.thread_id)]
            raise AssertionError(f"{self.case}: never came to its point, but by {passed}")
        self.waited_s = time.monotonic() - self.began_at

    async def _asked(self, method: str, path: str, body: Any = None) -> Any:
        """What is answered in the end: the same request under the same key until it is accepted."""
        key = {"idempotency-key": uuid.uuid4().hex} if method == "POST" else {}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    answer = await self._http.request(method, path, json=body, headers=key)
                    if answer.status_code < 300:
                        return answer.json()
                    assert answer.status_code >= 500 or answer.status_code in {409, 429}, answer.text
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.3)  # between two requests of a patient client

    async def ticket(self) -> httpx.Response:
        """What is answered to a request for a ticket, whatever that is."""
        return await self._http.post("/ws-tickets")

    async def eventually[T](self, ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str) -> T:
        """Ask until the answer ``holds``; a server that is away is asked again."""
        answer: T | str = "no answer"
        try:
            async with asyncio.timeout(PATIENCE_S):
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

    async def row(self) -> dict[str, Any]:
        """The run as PostgreSQL has it."""
        connection = await asyncpg.connect(self.stand.stack.fields["database_url"])
        try:
            found = await connection.fetchrow(
                "SELECT * FROM agent_runs WHERE thread_id = $1", uuid.UUID(self.thread_id)
            )
            return dict(found) if found else {}
        finally:
            await connection.close()

    async def runs(self) -> int:
        """How many runs the thread has."""
        connection = await asyncpg.connect(self.stand.stack.fields["database_url"])
        try:
            return await connection.fetchval(
                "SELECT count(*) FROM agent_runs WHERE thread_id = $1", uuid.UUID(self.thread_id)
            )
        finally:
            await connection.close()

    async def events(self) -> list[dict[str, Any]]:
        """The thread's log."""
        key = await events_key(self.stand.stack.fields["database_url"], self.thread_id)
        entries = await asyncio.to_thread(lambda: self.stand.redis.xrange(key))
        return [json.loads(entry["frame"]) for _, entry in entries]

    async def end(self) -> None:
        """Wait for the run's end and note what is wrong with it."""
        try:
            if self.accepting is not None:
                await self.accepting
            row = await self.eventually(self.row, lambda found: found.get("settled_at") is not None, "settled")
            await self._judge(row)
        except AssertionError as error:
            self.problems.append(f"lost: {error}")
        finally:
            await self._http.aclose()

    async def _judge(self, row: dict[str, Any]) -> None:
        if row["status"] != "completed":
            self.problems.append(f"lost: it ended {row['status']}: {row['error']}")
        if await self.runs() != 1:
            self.problems.append("duplicated: it was recorded twice")
        messages = await self._asked("GET", f"/threads/{self.thread_id}/messages?limit=1000")
        own = [message for message in messages if message["type"] != "summary"][
            _HISTORY if self.case.summarises else 0 :
        ]
        effects = {key: self.stand.control.effects(self.thread_id, key) for key in ("note", "charge")}
        self.problems += log_problems(await self.events(), run_ids=[self.run_id])
        self.problems += message_problems(own, tokens=_TOKENS, notes=effects["note"], charges=effects["charge"])
        calls = await self._model_calls()
        if calls > _MODEL_TURNS + row["attempt"] - 1:
            self.problems.append(f"duplicated: {calls} calls of the model in {row['attempt']} attempts")

    async def _model_calls(self) -> int:
        async with httpx.AsyncClient(base_url=self.stand.stack.fields["model_url"], timeout=30) as model:
            answer = await model.get("/calls", params={"contains": self.mark, "last": 500})
            # A summariser quotes what it was given.
            return sum("ummari" not in str(call["body"]["messages"][0]) for call in answer.json()["calls"])
