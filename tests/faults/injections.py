"""How faults are done to runs that wait at their points, and how it is known that they took effect.

A fault whose effect cannot be shown fails its case.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path as File
from typing import Any

from tests.faults.journey import AWAY, PATIENCE_S, Journey
from tests.faults.stand import Stand, kill
from tests.thread_logs import events_key

type Round = list[Journey]

_REFUSED = "not ours to execute"
# Longer than the clients' retries take.
_REFUSED_S = 8.0


def _release(round_: Round, answer: str = "go") -> None:
    for journey in round_:
        journey.release(answer)


async def attempt_rises(journey: Journey, above: int, *, patience_s: float = PATIENCE_S) -> int:
    """Wait until somebody else has gone on with the run, or settled it; the attempt then."""

    def is_taken_over(found: dict[str, Any]) -> bool:
        return found["attempt"] > above or found["settled_at"] is not None

    return (await journey.eventually(journey.row, is_taken_over, "taken over", patience_s=patience_s))["attempt"]


# Processes that die


async def kill_waiting(stand: Stand, round_: Round) -> None:
    """The process that waits at the point."""
    for pid in {journey.pid for journey in round_}:
        await asyncio.to_thread(kill, pid)
    for journey in round_:
        journey.proof = f"{journey.case.service} {journey.pid} gone"
    _release(round_)


async def kill_recorder(stand: Stand, round_: Round) -> None:
    """The API's process that has recorded, or records, the run."""
    pids: dict[str, int] = {}
    for journey in round_:
        at = [found for found in stand.control.passed(journey.thread_id) if found["service"] == "http"]
        pids[journey.thread_id] = at[-1]["pid"]
        journey.proof = f"http {at[-1]['pid']} gone"
    for pid in set(pids.values()):
        await asyncio.to_thread(kill, pid)
    _release(round_)


async def kill_redis(stand: Stand, round_: Round) -> None:
    """Redis dies, with everything it holds."""
    before = await asyncio.to_thread(stand.kill_redis)
    after = await round_[0].eventually(lambda: asyncio.to_thread(_redis_pid, stand), lambda pid: pid != before, "Redis")
    _proved(round_, f"Redis {before} gone, {after} there")
    _release(round_)


async def kill_postgres(stand: Stand, round_: Round) -> None:
    """PostgreSQL's first process dies, and every connection with it."""
    before = await asyncio.to_thread(stand.kill_postgres)

    async def pid() -> int:
        try:
            return stand.postmaster.pid
        except AssertionError as error:
            raise OSError(str(error)) from None

    _release(round_)
    after = await round_[0].eventually(pid, lambda found: found != before, "PostgreSQL")
    _proved(round_, f"PostgreSQL {before} gone, {after} there")


async def sleep(stand: Stand, round_: Round) -> None:
    """The process at the point sleeps until somebody else has gone on with, or settled, its run."""
    rows = [await journey.row() for journey in round_]
    pids = {journey.pid for journey in round_}
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    _release(round_)
    try:
        for journey, row in zip(round_, rows, strict=True):
            attempt = await attempt_rises(journey, row["attempt"])
            journey.proof = f"{journey.pid} slept, attempt {row['attempt']} -> {attempt}"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


# What Redis loses


async def flush(stand: Stand, round_: Round) -> None:
    """Redis loses everything, and stays."""
    stand.redis.set("marker", "there")
    stand.redis.flushall()
    assert stand.redis.get("marker") is None
    for journey in round_:
        # The watch may have come before: a run that waits at its point has ended, and its executor seems to be dead.
        await journey.note_settled()
    _proved(round_, "the marker is gone")
    _release(round_)


async def older_dump(stand: Stand, round_: Round) -> None:
    """Redis comes back as it was before the marker was set."""
    redis = stand.redis
    keys = [await events_key(stand.stack.fields["database_url"], journey.thread_id) for journey in round_]
    file = File(redis.config_get("dir")["dir"]) / redis.config_get("dbfilename")["dbfilename"]
    try:
        # What the log had an event ago, as a replica that lags would have it.
        for key in keys:
            shorten(redis, key)
        redis.save()
        redis.set("marker", "there")
        await _kill_redis_quietly(stand)
        again = await round_[0].eventually(
            lambda: asyncio.to_thread(lambda: stand.redis.get("marker")), lambda marker: marker is None, "the dump"
        )
        assert again is None
        kept = [bool(stand.redis.exists(key)) for key in keys]
        for journey, is_kept in zip(round_, kept, strict=True):
            await journey.note_settled()
            journey.proof = f"the marker is gone, the log {'is an event short' if is_kept else 'had not begun'}"
    finally:
        await asyncio.to_thread(file.unlink, missing_ok=True)
    _release(round_)


def shorten(redis: Any, key: str) -> None:
    """Let the log be as it was an event ago."""
    newest = redis.xrevrange(key, count=2)
    if newest:
        redis.execute_command("XDEL", key, newest[0][0])
        redis.execute_command("XSETID", key, newest[1][0] if len(newest) > 1 else "0-0")


async def _kill_redis_quietly(stand: Stand) -> None:
    before = await asyncio.to_thread(stand.kill_redis)
    async with asyncio.timeout(60):
        while True:
            try:
                if await asyncio.to_thread(_redis_pid, stand) != before:
                    return
            except AWAY:
                pass
            await asyncio.sleep(0.1)  # between two looks at an observable state


def _redis_pid(stand: Stand) -> int:
    return int(stand.redis.info("server")["process_id"])


async def lose_reply(stand: Stand, round_: Round) -> None:
    """The reply to each run's next append is lost, when it has been executed."""
    _release(round_, "lose_reply")


async def reply_was_lost(stand: Stand, round_: Round) -> None:
    """What the reply said that nobody heard."""
    for journey in round_:
        lost = stand.control.lost_reply(journey.thread_id)
        assert lost is not None, "no reply was lost"
        journey.proof = f"lost: {', '.join(map(str, lost))}"


# Messages that come twice, late, or never


def _copies(stand: Stand, journey: Journey, *, delay_s: int) -> None:
    """Every message that says to go on with the run, once more."""
    outputs, queues = stand.stack.fields["outputs"], stand.stack.aws("sqs")
    body = json.dumps(
        {"agent_run_id": journey.run_id, "thread_id": journey.thread_id, "account_id": journey.account_id}
    )
    for queue in ("RunsQueueUrl", "RetryQueueUrl", "WatchQueueUrl"):
        queues.send_message(QueueUrl=outputs[queue], MessageBody=body, DelaySeconds=delay_s)
    if journey.case.path == "workflow":
        _workflow_again(stand, journey)


def _workflow_again(stand: Stand, journey: Journey) -> None:
    workflows = stand.stack.aws("stepfunctions")
    arn = workflows.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    for found in workflows.list_executions(stateMachineArn=arn)["executions"]:
        if found["name"].startswith(journey.run_id):
            given = workflows.describe_execution(executionArn=found["executionArn"])["input"]
            workflows.start_execution(stateMachineArn=arn, name=f"again-{time.time_ns()}", input=given)


async def duplicate(stand: Stand, round_: Round) -> None:
    """Every message that says to go on with the run comes again, at once."""
    for journey in round_:
        journey.run_id = str((await journey.row())["agent_run_id"])
        await asyncio.to_thread(_copies, stand, journey, delay_s=0)
    _release(round_)


async def late(stand: Stand, round_: Round) -> None:
    """The same, seconds later."""
    for journey in round_:
        journey.run_id = str((await journey.row())["agent_run_id"])
        await asyncio.to_thread(_copies, stand, journey, delay_s=3)
    _release(round_)


async def refused(stand: Stand, round_: Round) -> None:
    """Somebody got a copy, and refused it."""
    for journey in round_:

        async def refusals(journey: Journey = journey) -> int:
            return await asyncio.to_thread(_count_refusals, stand, journey.run_id)

        count = await journey.eventually(refusals, lambda found: found >= 1, "a copy was refused")
        journey.proof = f"{count} copies refused"


def _count_refusals(stand: Stand, run_id: str) -> int:
    lines: Iterable[str] = (
        line
        for file in (File(stand.stack.fields["log_dir"])).glob("*.log")
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return sum(_REFUSED in line and run_id in line for line in lines)


# AWS that refuses


async def throttle_sending(stand: Stand, round_: Round) -> None:
    """Nothing about the run can be queued for a while; where its executor has it, that dies, and has to be replaced."""
    refusals = [
        stand.control.refuse("SendMessage", containing=journey.thread_id, code="RequestThrottled") for journey in round_
    ]
    for pid in {journey.pid for journey in round_ if journey.case.service != "http"}:
        await asyncio.to_thread(kill, pid)
    _release(round_)
    for journey, refusal in zip(round_, refusals, strict=True):

        async def count(refusal: Any = refusal) -> int:
            return refusal.refused

        journey.proof = f"{await journey.eventually(count, bool, 'refused')} sends refused"
    await asyncio.sleep(_REFUSED_S)
    for refusal in refusals:
        stand.control.refusals.remove(refusal)


async def throttle_subscriptions(stand: Stand, round_: Round) -> None:
    """Nobody can read who watches the thread."""
    refusals = [
        stand.control.refuse("Query", containing=journey.thread_id, code="ProvisionedThroughputExceededException")
        for journey in round_
    ]
    _release([journey for journey in round_ if journey.case.point == "claim"])
    for journey, refusal in zip(round_, refusals, strict=True):

        async def count(refusal: Any = refusal) -> int:
            return refusal.refused

        journey.proof = f"{await journey.eventually(count, bool, 'refused')} reads refused"
    _release(round_)
    await asyncio.sleep(_REFUSED_S)
    for refusal in refusals:
        stand.control.refusals.remove(refusal)


def short_queue_time(journey: Journey) -> None:
    """The queue's runner has a second for the run."""
    if journey.case.path == "queue":
        journey.options["queue_time_s"] = 1


async def refuse_start(stand: Stand, round_: Round) -> None:
    """The workflow cannot be started when the queue's time is over, which it is while the run waits."""
    refusals = [
        stand.control.refuse("StartExecution", containing=journey.thread_id, code="ThrottlingException")
        for journey in round_
    ]
    await asyncio.sleep(1.2)
    _release(round_)
    for journey, refusal in zip(round_, refusals, strict=True):

        async def count(refusal: Any = refusal) -> int:
            return refusal.refused

        journey.proof = f"{await journey.eventually(count, bool, 'refused')} starts refused"
    await asyncio.sleep(_REFUSED_S)
    for refusal in refusals:
        stand.control.refusals.remove(refusal)


# Clocks


def clock_jumps(by_s: int) -> Callable[[Stand, Round], Awaitable[None]]:
    """The executors' clock jumps, and stays there while they go on."""

    async def jump(stand: Stand, round_: Round) -> None:
        (stand.folder / "clock").write_text(f"{by_s:+d}s", encoding="ascii")
        _release(round_)

    return jump


def clock_jumped(by_s: int) -> Callable[[Stand, Round], Awaitable[None]]:
    """An executor has told a time that was off by so much."""

    async def jumped(stand: Stand, round_: Round) -> None:
        (stand.folder / "clock").write_text("+0", encoding="ascii")
        for journey in round_:
            jumps = [found["time"] - found["heard_at"] for found in stand.control.passed(journey.thread_id)]
            furthest = max(jumps, key=lambda jump: -abs(jump - by_s))
            assert abs(furthest - by_s) < 1, f"the clock was {jumps} s off"
            journey.proof = f"the clock was {timedelta(seconds=abs(round(furthest)))} off"

    return jumped


def clock(stand: Stand) -> AbstractContextManager[Any]:
    """The executors' clock can be set."""
    return stand.clock()


def _proved(round_: Round, proof: str) -> None:
    for journey in round_:
        journey.proof = proof


async def nothing(stand: Stand, round_: Round) -> None:
    """No fault."""
    _proved(round_, "nothing was done to it")
    _release(round_)
