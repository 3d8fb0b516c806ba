"""A thread that is watched while it is written: who executes its runs, who is woken, and what everybody has got."""

import time
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from functions.api.sender.main import _serve
from shared import events
from shared.database import facts, transaction
from shared.domain import Claim, Json, LogHold, ThreadLog
from shared.events import Logged
from shared.runs import transitions
from shared.stream import log, log_hold, subscriptions
from shared.stream.appender import Appender
from shared.stream.filters import Filter
from shared.stream.subscriptions import ConnectionRecord
from tests.integration.databases import LEASE_S, Database
from tests.integration.gateway import Gateway

CHANNELS = frozenset({"custom", "values", "lifecycle"})


@dataclass
class WatchedThread:
    """A thread, who executes its runs, and who watches it. ``woken``: how often the sender function was."""

    database: Database
    posts: Gateway
    account_id: str
    log: ThreadLog
    woken: int = 0
    serve_when_woken: bool = False
    served: int = 0
    # Where each connection began.
    connections: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def thread_id(self) -> UUID:
        """Its id."""
        return self.log.thread_id

    async def connected(self) -> ConnectionRecord:
        """One more connection of its account, that watches nothing yet."""
        record = ConnectionRecord(
            connection_id=f"{uuid4().hex[:15]}=",
            account_id=self.account_id,
            thread_id=self.thread_id,
            opened_at=time.time(),
            credential_expires_at=2**32,
        )
        await subscriptions.put_connection(record)
        return record

    async def watched(self, *, since: int = 0) -> str:
        """One more connection that watches it, from ``since`` on."""
        record = await self.connected()
        wanted = Filter(subscription_id="all", channels=CHANNELS)
        await subscriptions.add(record, wanted, since=since, generation=self.log.generation)
        self.connections[record.connection_id] = since
        return record.connection_id

    async def claimed(self, agent_run_id: UUID | None = None) -> Claim:
        """A run of it, a new one unless it is named, under a new claim."""
        run_id = agent_run_id or await self.database.new_run(self.thread_id)
        claim = await transitions.claim(
            agent_run_id=run_id, account_id=self.account_id, executor="queue", lease_s=LEASE_S
        )
        assert claim is not None
        return claim

    async def serve(self) -> None:
        """The sender function."""
        await _serve(self.thread_id, account_id=self.account_id, limit_s=20, function="the-sender")

    async def serve_as_woken(self) -> None:
        """The invocations that were asked for."""
        while self.served < self.woken:
            self.served += 1
            await self.serve()

    async def wake(
        self, *, thread_id: UUID, account_id: str, is_others: bool = False, function: str | None = None
    ) -> None:
        """As ``wake.sender``."""
        assert (thread_id, account_id, is_others, function) == (self.thread_id, self.account_id, False, None)
        self.woken += 1
        if self.serve_when_woken:
            await self.serve_as_woken()

    async def add_facts(self, run_id: UUID, count: int) -> None:
        """Facts without a number."""
        async with transaction() as taken:
            told = [events.custom(run_id, "fact", {"place": place}) for place in range(count)]
            await facts.add(taken, thread_id=self.thread_id, facts=told)

    async def in_the_log(self) -> list[int]:
        """The numbers that the log has."""
        return [event.seq for event in await log.read(self.log, after_seq=0, limit=10_000)]

    async def facts_(self) -> list[int]:
        """The numbers of its facts."""
        rows = await self.database.connection.fetch(
            "SELECT seq FROM thread_events WHERE thread_id = $1 ORDER BY seq", self.thread_id
        )
        return [row["seq"] for row in rows]

    async def check(self) -> None:
        """Everybody has got what the log has, once and in order, or a gap over it; every fact, whatever was lost."""
        assert not await facts.has_unlogged(thread_id=self.thread_id)
        await self.serve()
        known, logged = await self.facts_(), await self.in_the_log()
        assert set(known) <= set(logged)
        for one, since in self.connections.items():
            seen = self.seen(one)
            assert seen == sorted(set(seen))
            assert {number for number in logged if number > since} <= {*seen, *self.declared(one)}
            assert {number for number in known if number > since} <= set(seen)

    def seen(self, connection_id: str) -> list[int]:
        """The numbers that a connection got."""
        return [number for number in self.posts.seqs(connection_id) if number is not None]

    def data(self, connection_id: str, name: str) -> list[Json]:
        """What the custom events of a name say that a connection got."""
        frames = [frame["params"]["data"] for frame in self.posts.sent.get(connection_id, [])]
        return [data["payload"] for data in frames if data.get("name") == name]

    def declared(self, connection_id: str) -> set[int]:
        """What was declared to it alone; behind each gap stands the state."""
        frames = [frame for frame in self.posts.sent.get(connection_id, []) if "seq" not in frame]
        gaps, states = frames[::2], frames[1::2]
        assert [state["method"] for state in states] == ["values"] * len(gaps)
        found = [gap["params"]["data"]["payload"] for gap in gaps]
        return {number for gap in found for number in range(gap["from"], gap["to"] + 1)}


def appender(hold: LogHold) -> Appender:
    """Who writes under the hold."""
    return Appender(hold, reserve=log_hold.reserve, prove=log_hold.is_newest)


async def says(writer: Appender, count: int) -> list[Logged]:
    """Append so many passing events; what subscribers are told."""
    await writer.reserve(count)
    return await writer.append([writer.number(events.custom(uuid4(), "said", {})) for _ in range(count)])
