"""Stopping runs: a durable flag for whoever holds the run, the end at once where nobody does."""

from dataclasses import dataclass, field
from uuid import UUID

from shared.database import Connection, connection, runs, threads, transaction
from shared.database.queries import queries
from shared.domain import TERMINAL, AgentRun, StopKind, ThreadLog
from shared.errors import NotFoundError, QueueUnavailableError
from shared.runs.ending import stop_error
from shared.runs.settle import settle
from shared.runs.unheld import end_unheld
from shared.stream import control, wake
from shared.telemetry import logger

_SQL = queries("runs")


@dataclass(frozen=True)
class Stopped:
    """Runs that were to be stopped: those that ended with it, and those whose holder has to end them."""

    log: ThreadLog
    ended: list[AgentRun] = field(default_factory=list[AgentRun])
    asked: list[AgentRun] = field(default_factory=list[AgentRun])

    async def follow_up(self) -> None:
        """After the commit: tell the holders, and the subscribers of what has ended.

        Whatever of it fails is done by the holder's next renewal, and by the watch.
        """
        for run in self.asked:
            await control.notify(self.log, "stop", agent_run_id=run.agent_run_id)
        if self.ended:
            await self._watch(self.ended[0].account_id)
        for run in self.ended:
            try:
                await settle(agent_run_id=run.agent_run_id, thread_id=run.thread_id, account_id=run.account_id)
            except Exception:
                logger.warning("a stopped run could not be settled; its watch does it", exc_info=True)

    async def _watch(self, account_id: str) -> None:
        """Who is connected hears of it, whatever fails now: a run's own watch comes when the run would have been due,
        which may be in hours.
        """
        try:
            await wake.watch(thread_id=self.log.thread_id, account_id=account_id)
        except QueueUnavailableError:
            logger.warning("subscribers of stopped runs wait for the runs' own watches", exc_info=True)


async def request_stop(
    *, agent_run_id: UUID, account_id: str, thread_id: UUID | None = None, kind: StopKind = "stop"
) -> AgentRun:
    """Stop a run; returns it as it is then. Stopping a run that has ended changes nothing.

    Raises:
        NotFoundError: there is none of that id in the account (and thread).
    """
    async with transaction() as taken:
        found = await taken.fetchval(_SQL["lock_thread_of"], agent_run_id, account_id)
        if found is None or thread_id not in {None, found}:
            raise NotFoundError(f"there is no run {str(agent_run_id)!r}")
        run = await runs.get(taken, agent_run_id=agent_run_id, account_id=account_id)
        if run.status in TERMINAL:
            return run
        stopped = Stopped(await threads.log(taken, thread_id=run.thread_id, account_id=account_id))
        await _stop(taken, run, kind=kind, stopped=stopped)
    await stopped.follow_up()
    async with connection() as taken:
        return await runs.get(taken, agent_run_id=agent_run_id, account_id=account_id)


async def stop_unfinished(connection: Connection, *, thread_id: UUID, account_id: str, kind: StopKind) -> Stopped:
    """Stop every unfinished run of a thread, in a transaction that holds its row lock."""
    stopped = Stopped(await threads.log(connection, thread_id=thread_id, account_id=account_id))
    for row in await connection.fetch(_SQL["unfinished_of_thread"], thread_id, account_id):
        await _stop(connection, runs.agent_run(row), kind=kind, stopped=stopped)
    return stopped


async def _stop(connection: Connection, run: AgentRun, *, kind: StopKind, stopped: Stopped) -> None:
    ended = await end_unheld(connection, agent_run_id=run.agent_run_id, status="stopped", error=stop_error(kind))
    if ended is not None:
        stopped.ended.append(ended)
    else:
        await connection.execute(_SQL["request_stop"], run.agent_run_id, kind)
        stopped.asked.append(run)
