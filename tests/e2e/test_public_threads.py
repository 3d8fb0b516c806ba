"""Public threads over the WebSocket: everybody watches, nobody else acts."""

import httpx

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack
from tests.e2e.following import command, events_of_run, nothing_came_early, subscribed
from tests.e2e.threads import ended_run, new_thread, start_run


async def test_a_reader_sees_what_the_owner_sees_and_cannot_act(
    http: httpx.AsyncClient, client: Stack, stack: RunningStack
) -> None:
    thread_id = await new_thread(http)
    await http.patch(f"/threads/{thread_id}", json={"is_public": True})
    reader = stack.client_of("a reader")
    async with subscribed(client, thread_id) as own, subscribed(reader, thread_id) as others:
        for method, params in (
            ("run.start", {"assistant_id": "agent", "input": "x"}),
            ("input.respond", {"interrupt_id": "x", "response": "y"}),
        ):
            assert (await command(others, method, params))["type"] == "error"
        run = await start_run(http, thread_id, "[[say for everybody]]")
        seen = await events_of_run(own)
        assert await events_of_run(others) == seen
        assert "for everybody" in str(seen)
        assert (await command(others, "run.cancel", {"run_id": run["run_id"]}))["type"] == "error"
    # AND what there was before, from the log
    async with subscribed(reader, thread_id, since=0) as later:
        assert await events_of_run(later) == seen


async def test_who_watches_gets_nothing_once_it_is_private(
    http: httpx.AsyncClient, client: Stack, stack: RunningStack
) -> None:
    thread_id = await new_thread(http)
    await http.patch(f"/threads/{thread_id}", json={"is_public": True})
    async with subscribed(client, thread_id) as own, subscribed(stack.client_of("a reader"), thread_id) as others:
        await start_run(http, thread_id, "[[say first]]")
        first = await events_of_run(own)
        assert await events_of_run(others) == first
        await http.patch(f"/threads/{thread_id}", json={"is_public": False})
        run = await start_run(http, thread_id, "[[say second]]")
        await ended_run(http, run)
        assert "second" in str(await events_of_run(own))
        # THEN nothing comes before the answer to what is asked last
        answer = await command(others, "subscription.subscribe", {"channels": ["messages"], "since": 0})
        assert (answer["type"], "not public" in answer["message"]) == ("error", True)
        assert nothing_came_early(others)
    async with subscribed(stack.client_of("another reader"), thread_id) as late:
        assert (await command(late, "ping"))["result"] == {}


async def test_what_was_said_in_private_is_never_everybodys(
    http: httpx.AsyncClient, client: Stack, stack: RunningStack
) -> None:
    thread_id = await new_thread(http)
    await ended_run(http, await start_run(http, thread_id, "[[say kept apart]]"))
    await http.patch(f"/threads/{thread_id}", json={"is_public": True})
    reader = stack.client_of("a reader")
    shown = await start_run(http, thread_id, "[[say for everybody]]")
    await ended_run(http, shown)
    # WHEN somebody asks for everything THEN it is what was said in public, and its account still has all
    async with subscribed(reader, thread_id, since=0) as others:
        seen = str(await events_of_run(others))
    assert ("for everybody" in seen, "kept apart" in seen) == (True, False)
    async with subscribed(client, thread_id, since=0) as own:
        assert "kept apart" in str(await events_of_run(own))
    # WHEN the run is deleted THEN nobody else gets it any more
    await http.delete(f"/threads/{thread_id}/runs/{shown['run_id']}")
    await ended_run(http, await start_run(http, thread_id, "[[say last]]"))
    async with subscribed(reader, thread_id, since=0) as others:
        seen = str(await events_of_run(others))
    assert ("last" in seen, "for everybody" in seen) == (True, False)
