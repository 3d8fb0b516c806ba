"""Reading and changing what is another's."""

import json
import time
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.abuse import Account, Attack, without
from tests.e2e.conftest import RunningStack
from tests.e2e.following import eventually, subscribed
from tests.e2e.threads import ended_run, start_run

SECRET = "what nobody else may know"


async def _reads(stack: RunningStack, path: str) -> bool:
    """Whether a stranger who knows the ids is told what was said."""
    owner, stranger = Account(stack), Account(stack)
    async with owner.http() as http:
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]
        run = await ended_run(http, await start_run(http, thread_id, f"[[say {SECRET}]]"))
    path = path.format(thread_id=thread_id, run_id=run["run_id"])
    answer = await stranger.ask("GET", path)
    return SECRET in answer.text


async def read_a_thread(stack: RunningStack) -> bool:
    return await _reads(stack, "/threads/{thread_id}/messages")


async def read_a_stream(stack: RunningStack) -> bool:
    return await _reads(stack, "/threads/{thread_id}/runs/{run_id}/stream")


async def watch_a_thread(stack: RunningStack) -> bool:
    """With a credential that ends soon, and pings until it has: the sender is woken, and asked for all from the log."""
    owner = Account(stack)
    thread_id = await owner.thread(SECRET)
    credential = stack.token(Account(stack).account_id, exp=int(time.time()) + 6)
    heard: list[str] = []
    with suppress(ConnectionClosed):
        async with subscribed(type(owner.client)(base_url=stack.base_url, token=credential), thread_id, since=0) as it:
            while True:
                await it.send(json.dumps({"id": 1, "method": "ping", "params": {}}))
                heard.append(str(await it.recv()))
    return any(SECRET in frame for frame in heard)


async def stop_a_run(stack: RunningStack) -> bool:
    owner, stranger = Account(stack), Account(stack)
    thread_id = await owner.thread()
    async with owner.http() as http:
        run = await start_run(http, thread_id, "[[tokens 20 rate 10]]")
        await stranger.ask("POST", f"/threads/{thread_id}/runs/{run['run_id']}/cancel")
        return (await ended_run(http, run))["status"] != "success"


async def delete_a_thread(stack: RunningStack) -> bool:
    owner, stranger = Account(stack), Account(stack)
    thread_id = await owner.thread()
    await stranger.ask("DELETE", f"/threads/{thread_id}")
    return (await owner.ask("GET", f"/threads/{thread_id}")).status_code == 404


async def go_on_with_an_ended_credential(stack: RunningStack) -> bool:
    """A connection that was opened before goes on with commands."""
    account = Account(stack)
    thread_id = await account.thread()
    ends_at = int(time.time()) + 3
    headers = {"authorization": f"Bearer {stack.token(account.account_id, exp=ends_at)}"}
    said: list[dict[str, Any]] = []
    with suppress(ConnectionClosed):
        async with connect(account.client.websocket_url(thread_id), additional_headers=headers) as socket:
            while time.time() < ends_at + 2:
                await socket.send(json.dumps({"id": 1, "method": "state.get", "params": {}}))
                answer = json.loads(await socket.recv())
                if time.time() > ends_at + 1:
                    said.append(answer)
    return any(frame.get("type") == "success" for frame in said)


async def use_a_revoked_key(stack: RunningStack) -> bool:
    """Where it was never used before: nothing remembers it."""
    account = Account(stack)
    key = (await account.ask("POST", "/api-keys", json={"name": "lost"})).json()
    await account.ask("DELETE", f"/api-keys/{key['key_id']}")

    async def status() -> int:
        headers = {"authorization": "", "x-api-key": key["secret"]}
        return (await account.ask("POST", "/threads/count", json={}, headers=headers)).status_code

    with suppress(AssertionError):
        return await status() == 200
    return await eventually(status, lambda answer: answer == 401) != 401


_OWNER = without(
    "shared/database/sql/threads.sql",
    "WHERE thread_id = $1 AND (is_public OR account_id = $2)",
    "WHERE thread_id = $1 AND $2::text IS NOT NULL",
)
_LOG = without(
    "shared/database/sql/threads.sql",
    "generation FROM threads WHERE thread_id = $1 AND account_id = $2",
    "generation FROM threads WHERE thread_id = $1 AND $2::text IS NOT NULL",
)
_POSITION = without(
    "shared/database/sql/threads.sql",
    "r.status = 'running'\nWHERE t.thread_id = $1 AND t.account_id = $2",
    "r.status = 'running'\nWHERE t.thread_id = $1 AND $2::text IS NOT NULL",
)
_RUN = without(
    "shared/database/sql/runs.sql",
    "SELECT * FROM agent_runs WHERE agent_run_id = $1 AND account_id = $2 AND",
    "SELECT * FROM agent_runs WHERE agent_run_id = $1 AND $2::text IS NOT NULL AND",
)

ATTACKS = (
    Attack("reading another's messages", read_a_thread, (_OWNER,)),
    Attack("resuming another's stream", read_a_stream, (_OWNER, _LOG, _RUN)),
    Attack("watching another's thread, and pinging", watch_a_thread, (_LOG, _POSITION)),
    Attack(
        "stopping another's run",
        stop_a_run,
        (
            _LOG,
            _RUN,
            without(
                "shared/database/sql/runs.sql",
                "WHERE r.agent_run_id = $1 AND r.account_id = $2\nFOR NO KEY UPDATE OF t",
                "WHERE r.agent_run_id = $1 AND $2::text IS NOT NULL\nFOR NO KEY UPDATE OF t",
            ),
        ),
    ),
    Attack(
        "deleting another's thread",
        delete_a_thread,
        (
            without(
                "shared/database/sql/threads.sql",
                "last_run_number FROM threads WHERE thread_id = $1 AND account_id = $2 FOR",
                "last_run_number FROM threads WHERE thread_id = $1 AND $2::text IS NOT NULL FOR",
            ),
            without(
                "shared/database/sql/threads.sql",
                "WHERE t.thread_id = $1 AND t.account_id = $2\n  AND NOT EXISTS (",
                "WHERE t.thread_id = $1 AND $2::text IS NOT NULL\n  AND NOT EXISTS (",
            ),
        ),
    ),
    Attack(
        "commands on a connection whose credential has ended",
        go_on_with_an_ended_credential,
        (
            without(
                "shared/stream/subscriptions.py",
                "return None if item is None or not _lives(item) else _record(connection_id, item)",
                "return None if item is None else _record(connection_id, item)",
            ),
        ),
    ),
    Attack(
        "a key that was revoked",
        use_a_revoked_key,
        (without("functions/api/keys.py", "if key.revoked_at is not None:", "if False:"),),
    ),
)
