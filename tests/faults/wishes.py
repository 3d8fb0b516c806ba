"""Runs of which somebody wants something while they wait at their points, to stop, to be gone, to go on; a tool that
kills its process.

What was accepted is done, what was refused changes nothing, and a later run of the thread ends well.
"""

import asyncio
from typing import Any, ClassVar
from uuid import UUID

from websockets.asyncio.client import connect

from tests.e2e.following import command
from tests.faults.injections import Round, shorten
from tests.faults.journey import Journey
from tests.faults.stand import Stand, kill
from tests.faults.verdict import log_problems, message_problems, open_calls, script
from tests.thread_logs import events_key

_ENDED = {"success", "error", "timeout"}
# A request that waits for what the run at its point holds is on its way then.
_ON_ITS_WAY_S = 0.5


class Stopped(Journey):
    """A run that is stopped at its point."""

    action: ClassVar[str] = "interrupt"
    code: ClassVar[str] = "stop"
    accepted: bool = False

    async def wish(self) -> None:
        """Have it stopped."""
        row = await self.eventually(self.row, bool, "recorded")
        path = f"/threads/{self.thread_id}/runs/{row['agent_run_id']}/cancel?action={self.action}"
        stopping = asyncio.create_task(self.asked("POST", path))
        await asyncio.sleep(_ON_ITS_WAY_S)
        self.release()
        answer = await stopping
        # Of a run that has ended the answer says how.
        self.accepted = answer["status"] not in _ENDED
        self.proof = f"{'accepted' if self.accepted else 'too late'}: it was {answer['status']}"

    async def judge(self, row: dict[str, Any]) -> None:
        """It ended as was accepted; its calls are answered; nothing of it is done later."""
        if self.accepted and (row["status"] != "stopped" or self.code not in row["error"]):
            self.problems.append(f"lost: {self.action} was accepted, it ended {row['status']}: {row['error']}")
        messages = await self.messages()
        if self.accepted and self.action == "rollback" and messages:
            self.problems.append(f"lost: rolled back, it shows {[message['type'] for message in messages]}")
        await self.goes_on()
        self.problems += open_calls(await self.messages())
        charges = self.stand.control.effects(self.thread_id, "charge")
        if len(charges) > 1:
            self.problems.append(f"duplicated: charge had effects {charges}")


class RolledBack(Stopped):
    """A run that is rolled back at its point."""

    action = code = "rollback"


async def wish(stand: Stand, round_: Round) -> None:
    """What each run's somebody wants of it."""
    async with asyncio.TaskGroup() as group:
        for journey in round_:
            assert isinstance(journey, Stopped | Deleted)
            group.create_task(journey.wish())


class Deleted(Journey):
    """A run whose thread is deleted while it is at its point."""

    status: int = 0

    async def wish(self) -> None:
        """Have the thread deleted."""
        deleting = asyncio.create_task(self.answered("DELETE", f"/threads/{self.thread_id}", {409}))
        await asyncio.sleep(_ON_ITS_WAY_S)
        self.release()
        self.status = (await deleting).status_code
        self.proof = f"DELETE was answered with {self.status}"

    async def _accept(self, body: dict[str, Any]) -> None:
        answer = await self.answered("POST", f"/threads/{self.thread_id}/runs", {404}, body)
        if answer.status_code != 404:
            self.follow(answer.json()["run_id"])

    async def end(self) -> None:
        """A refused deletion changes nothing; an accepted one leaves nothing."""
        if self.status == 409:
            await super().end()
            return
        try:
            await self._is_gone()
        except AssertionError as error:
            self.problems.append(f"lost: {error}")
        finally:
            await self.close()

    async def _is_gone(self) -> None:
        if self.accepting is not None:
            await self.accepting

        async def left() -> list[str]:
            answer = await self.answered("GET", f"/threads/{self.thread_id}", {404})
            keys = list(self.stand.redis.scan_iter(f"*{self.thread_id}*"))
            return keys + ([] if answer.status_code == 404 else [answer.text])

        await self.eventually(left, lambda found: not found, "the deleted thread is gone")
        if await self.row():
            self.problems.append("lost: DELETE was accepted, and the run is there")


class Approved(Journey):
    """The second run of its thread: it carries out a call that the first has asked for, and two clients approved."""

    place = 1

    async def _start(self) -> None:
        said = self.said(script(self.mark, tokens=self.tokens, charging="pay"))
        first = await self.asked("POST", f"/threads/{self.thread_id}/runs", said)

        async def asking() -> str:
            status = "SELECT status FROM agent_runs WHERE agent_run_id = $1 AND settled_at IS NOT NULL"
            return await self.fetch_value(status, UUID(first["run_id"])) or "not settled"

        await self.eventually(asking, lambda found: found == "needs_input", "approval is asked for")
        known = self.readers.sockets["before"]

        async def interrupt() -> str | None:
            requested = [frame for frame in known.frames if frame["method"] == "input.requested"]
            return requested[-1]["params"]["data"]["interrupt_id"] if requested else None

        interrupt_id = await self.eventually(interrupt, bool, "a client knows what is asked")
        self.stop_at_point()
        self.accepting = asyncio.create_task(self._approve(str(interrupt_id)))

    async def _approve(self, interrupt_id: str) -> None:
        client = self.stand.stack.client_of(self.account_id)
        url = client.websocket_url(self.thread_id)
        response = {"interrupt_id": interrupt_id, "response": True}
        async with (
            connect(url, additional_headers=client.headers) as one,
            connect(url, additional_headers=client.headers) as other,
        ):
            answers = await asyncio.gather(*(command(at, "input.respond", response) for at in (one, other)))
        accepted = [answer for answer in answers if answer["type"] == "success"]
        assert len(accepted) == 1, f"of two approvals at once {len(accepted)} were accepted: {answers}"
        self.follow(accepted[0]["result"]["run_id"])

    async def judge(self, row: dict[str, Any]) -> None:
        """It ended well, and did once what was approved."""
        if row["status"] != "completed" or await self.runs() != 2:
            self.problems.append(f"lost: of {await self.runs()} runs the second ended {row['status']}: {row['error']}")
        effects = {key: self.stand.control.effects(self.thread_id, key) for key in ("note", "charge")}
        self.problems += message_problems(
            await self.messages(), tokens=self.tokens, notes=effects["note"], charges=effects["charge"]
        )


class Deadly(Journey):
    """A run whose idempotent tool kills its process, whoever executes it."""

    patience_s = 400.0

    async def _start(self) -> None:
        self.stop_at_point()
        self.accept_later(self.said(f'{self.mark} [[tokens 4]] [[tool die {{"key": "die"}}]] [[tokens 8]]'))

    async def judge(self, row: dict[str, Any]) -> None:
        """It was given up, its call is answered, and no later run executes it."""
        if row["status"] != "failed" or "poison" not in row["error"]:
            self.problems.append(f"lost: it ended {row['status']}: {row['error']}")
        deaths = self.stand.control.effects(self.thread_id, "die")
        await self.goes_on()
        self.problems += open_calls(await self.messages())
        again = len(self.stand.control.effects(self.thread_id, "die")) - len(deaths)
        if again:
            self.problems.append(f"duplicated: a later run has called the tool {again} times")
        self.proof = f"{len(deaths)} processes died of it"


class Silenced(Journey):
    """A run whose database is silent for a while: it is looked after less and less often, the longer that lasts."""

    patience_s = 400.0


class TailLost(Journey):
    """A run of whose log Redis loses the last events, when it has been settled."""

    async def judge(self, row: dict[str, Any]) -> None:
        """As any other; who comes later, and a later run's clients, know all the same."""
        await super().judge(row)
        self.problems += log_problems(await self.events(), run_ids=[])
        await self.readers.join("later")
        await self.goes_on()


async def lose_tail(stand: Stand, round_: Round) -> None:
    """The runs end, and are settled; then their logs are shorter."""
    for journey in round_:
        journey.release()
    for journey in round_:
        await journey.eventually(journey.row, lambda found: found.get("settled_at") is not None, "settled")
        key = await events_key(stand.stack.fields["database_url"], journey.thread_id)
        before = stand.redis.xlen(key)
        for _ in range(2):
            shorten(stand.redis, key)
        journey.proof = f"settled, then the log had {stand.redis.xlen(key)} of {before} events"


async def let_die(stand: Stand, round_: Round) -> None:
    """The processes go on to their deaths, one after another."""
    for journey in round_:
        row = await journey.row()
        journey.release()
        journey.proof = f"attempt {row['attempt']} went on"


async def kill_approved(stand: Stand, round_: Round) -> None:
    """The process that waits at the point, in the run that was approved."""
    for pid in {journey.pid for journey in round_}:
        await asyncio.to_thread(kill, pid)
    for journey in round_:
        journey.proof = f"{journey.case.service} {journey.pid} gone, of two approvals one was accepted"
        journey.release()
