"""Calls of runs, and the streams of runs and threads."""

import asyncio
from contextlib import suppress
from typing import Any

from langgraph_sdk.errors import NotFoundError

from tests.e2e.following import eventually
from tests.oracle.rows import AGENT, ASK, ASKING, NOBODY, new_thread, said
from tests.oracle.seen import Recorder

MODES = ("values", "updates", "messages", "messages-tuple", "custom", "events", "tools", "lifecycle")
ENDLESS = "[[endless rate 20]]"


async def _running(seen: Recorder) -> tuple[str, str]:
    """A thread and a run of it that is being executed, and does not end by itself."""
    thread = await new_thread(seen)
    run = await seen.sdk.runs.create(thread, AGENT, input=said(ENDLESS))

    async def status() -> str:
        return (await seen.sdk.runs.get(thread, run["run_id"]))["status"]

    await eventually(status, lambda word: word == "running")
    return thread, run["run_id"]


async def _end_all(seen: Recorder) -> None:
    """End what is still being done: few runs are executed at the same time."""
    with suppress(NotFoundError):
        await seen.sdk.runs.cancel_many(status="all")


async def runs(seen: Recorder) -> None:
    """Runs that end by themselves."""
    api: Any = seen.sdk.runs
    call = seen.call
    some = await new_thread(seen)
    made = await call("runs.create", "", api.create(some, AGENT, input=said("[[say Hi.]]"), metadata={"n": 1}))
    run = made["run_id"]
    await call("runs.join", "", api.join(some, run))
    await call("runs.join", "ended", api.join(some, run))
    await call("runs.join", "unknown", api.join(some, NOBODY))
    await call("runs.join", "unknown thread", api.join(NOBODY, run))
    await call("runs.create", "unknown thread", api.create(NOBODY, AGENT, input=said("x")))
    await call("runs.create", "unknown assistant", api.create(some, NOBODY, input=said("x")))
    await call("runs.create", "unknown graph", api.create(some, "nothing", input=said("x")))
    await call("runs.create", "unknown strategy", api.create(some, AGENT, input=said("x"), multitask_strategy="x"))
    await call("runs.get", "", api.get(some, run))
    await call("runs.get", "unknown", api.get(some, NOBODY))
    await call("runs.get", "unknown thread", api.get(NOBODY, run))
    await call("runs.get", "no UUID", api.get(some, "x"))
    await call("runs.list", "", api.list(some))
    await call("runs.list", "by status", api.list(some, status="success"))
    await call("runs.list", "unknown status", api.list(some, status="x"))
    await call("runs.list", "limit 0", api.list(some, limit=0))
    await call("runs.list", "offset -1", api.list(some, offset=-1))
    await call("runs.list", "selected", api.list(some, select=["run_id", "status"]))
    await call("runs.list", "unknown thread", api.list(NOBODY))
    await call("runs.wait", "", api.wait(some, AGENT, input=said("[[say Hi.]]")))
    await call("runs.wait", "unknown thread", api.wait(NOBODY, AGENT, input=said("x")))
    await call("runs.wait", "new thread", api.wait(NOBODY, AGENT, input=said("[[say x]]"), if_not_exists="create"))
    await seen.sdk.threads.delete(NOBODY)
    await call("runs.wait", "failed", api.wait(some, AGENT, input=said("[[status 400]]")))
    await call("runs.wait", "failed, unraised", api.wait(some, AGENT, input=said("[[status 400]]"), raise_error=False))
    await call("runs.wait", "asked", api.wait(some, AGENT, input=said(ASK), config=ASKING))
    await call("runs.wait", "answered", api.wait(some, AGENT, command={"resume": "This."}, config=ASKING))
    await call("runs.delete", "", api.delete(some, run))
    await call("runs.delete", "unknown", api.delete(some, NOBODY))


async def busy(seen: Recorder) -> None:
    """Runs that are being executed, or wait behind one that is."""
    api: Any = seen.sdk.runs
    call = seen.call
    some, run = await _running(seen)
    await call("threads.get", "busy", seen.sdk.threads.get(some))
    await call("threads.update_state", "busy", seen.sdk.threads.update_state(some, said("x"), as_node=AGENT))
    await call("runs.create", "reject", api.create(some, AGENT, input=said("x"), multitask_strategy="reject"))
    await call("runs.create", "enqueue", api.create(some, AGENT, input=said("x")))
    await call("runs.create", "later", api.create(some, AGENT, input=said("x"), after_seconds=600))
    await call("runs.list", "pending", api.list(some, status="pending"))
    await call("runs.delete", "running", api.delete(some, run))
    await call("threads.delete", "busy", seen.sdk.threads.delete(some))
    await _end_all(seen)
    some, run = await _running(seen)
    queued = await api.create(some, AGENT, input=said(ENDLESS))
    await call("runs.cancel", "queued", api.cancel(some, queued["run_id"]))
    await call("runs.cancel", "", api.cancel(some, run, wait=True))
    await call("runs.get", "cancelled", api.get(some, run))
    await call("threads.get", "cancelled", seen.sdk.threads.get(some))
    await call("runs.cancel", "ended", api.cancel(some, run))
    await call("runs.cancel", "unknown", api.cancel(some, NOBODY))
    await call("runs.cancel", "unknown thread", api.cancel(NOBODY, run))
    some, run = await _running(seen)
    await call("runs.cancel", "rollback", api.cancel(some, run, wait=True, action="rollback"))
    await call("runs.get", "rolled back", api.get(some, run))
    some, run = await _running(seen)
    await call("runs.cancel_many", "", api.cancel_many(thread_id=some, run_ids=[run]))
    await call("runs.cancel_many", "unknown", api.cancel_many(thread_id=some, run_ids=[NOBODY]))
    await call("runs.cancel_many", "thread and status", api.cancel_many(thread_id=some, status="all"))
    await call("runs.cancel_many", "nothing", api.cancel_many())
    await api.join(some, run)
    await call("runs.cancel_many", "ended", api.cancel_many(thread_id=some, run_ids=[run]))


async def streams(seen: Recorder) -> None:
    """Streams of runs, mode by mode, and of runs that fail, ask or have ended."""
    api: Any = seen.sdk.runs
    stream = seen.stream
    for mode in MODES:
        some = await new_thread(seen)
        await stream("runs.stream", mode, api.stream(some, AGENT, input=said("[[say One two.]]"), stream_mode=mode))
    some = await new_thread(seen)
    both = ["values", "messages-tuple"]
    await stream("runs.stream", "two modes", api.stream(some, AGENT, input=said("[[say One.]]"), stream_mode=both))
    [run] = await api.list(some)
    await stream("runs.join_stream", "ended", api.join_stream(some, run["run_id"], stream_mode="values"))
    await stream("runs.join_stream", "unknown", api.join_stream(some, NOBODY))
    await stream("runs.join_stream", "unknown thread", api.join_stream(NOBODY, run["run_id"]))
    live = await api.create(some, AGENT, input=said("[[tokens 30 rate 30]]"), stream_resumable=True)
    await stream("runs.join_stream", "", api.join_stream(some, live["run_id"], stream_mode="values"))
    for mode in ("values", "updates"):
        some = await new_thread(seen)
        await stream(
            "runs.stream", f"asked, {mode}", api.stream(some, AGENT, input=said(ASK), config=ASKING, stream_mode=mode)
        )
        await stream(
            "runs.stream",
            f"answered, {mode}",
            api.stream(some, AGENT, command={"resume": "This."}, config=ASKING, stream_mode=mode),
        )
    some = await new_thread(seen)
    await stream("runs.stream", "failed", api.stream(some, AGENT, input=said("[[status 400]]"), stream_mode="values"))
    await stream("runs.stream", "unknown thread", api.stream(NOBODY, AGENT, input=said("x")))
    await stream("runs.stream", "unknown assistant", api.stream(some, NOBODY, input=said("x")))
    await stream("runs.stream", "unknown mode", api.stream(some, AGENT, input=said("x"), stream_mode="nothing"))


async def thread_streams(seen: Recorder) -> None:
    """Threads' events over the WebSocket: of a run that succeeds, one that asks and is answered, one that fails."""
    await _thread_stream(seen, "", "[[say One two.]]")
    await _thread_stream(seen, "asked", ASK, answer="This.")
    await _thread_stream(seen, "failed", "[[status 400]]")


async def _thread_stream(seen: Recorder, case: str, text: str, *, answer: str | None = None) -> None:
    some = await new_thread(seen)
    headers = {name: value for name, value in seen.sdk.http.client.headers.items() if name == "authorization"}
    async with seen.sdk.threads.stream(some, assistant_id=AGENT, transport="websocket", headers=headers) as thread:
        events = thread.events
        await thread._open_handles[-1].ready  # the run must not begin before
        await thread.run.start(input=said(text), config=ASKING if answer else None)
        taken = await _until_end(events)
        seen.events("threads.stream", case, taken)
        if answer is not None:

            async def waiting() -> bool:
                return thread.interrupted and bool(thread.interrupts)

            await eventually(waiting, bool)
            await thread.run.respond(answer)
            seen.events("threads.stream", f"{case}, answered", await _until_end(events))


async def _until_end(events: Any) -> list[dict[str, Any]]:
    taken: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        async for event in events:
            if event["type"] != "event":
                continue  # the subscription's answer
            taken.append(event)
            params = event["params"]
            is_root = event["method"] == "lifecycle" and not params["namespace"]
            if is_root and params["data"]["event"] in {"completed", "failed", "interrupted"}:
                return taken
    return taken
