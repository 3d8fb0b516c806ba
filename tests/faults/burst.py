"""A thousand runs at once while processes are killed at random: ``make burst``."""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from bench.report import sized
from tests.e2e.conftest import LOCAL_DIR, RunningStack, deployed
from tests.faults.journey import AWAY
from tests.faults.stand import Stand, kill, standing
from tests.faults.verdict import log_problems, message_problems, script
from tests.thread_logs import events_key

_TOKENS = 12
_CLIENTS = 40
_PAUSE_S = 3.0
_LONGEST_S = 1800.0
_HANDLERS = {
    "runner": "functions.runner.main.queue_handler",
    "API": "functions.api.http.main.handler",
    "watch": "functions.api.watch.main.handler",
}


@dataclass
class Burst:
    """The runs, by thread: ``(run id, mark)`` in the order they were accepted in."""

    stand: Stand
    threads: dict[str, str] = field(default_factory=dict[str, str])
    runs: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    killed: Counter[str] = field(default_factory=Counter[str])
    repeated: int = 0

    async def accept(self, *, runs: int, threads: int, accounts: int) -> None:
        """Have them all accepted, each thread's in order."""
        account_ids = [str(uuid.uuid4()) for _ in range(accounts)]
        limits = httpx.Limits(max_connections=_CLIENTS)
        async with httpx.AsyncClient(base_url=self.stand.stack.base_url, timeout=90, limits=limits) as http:
            agent = {"tools": ["effects"], "processor": {"native_tool_calling": True, "xml_tool_calling": False}}
            body = {"graph_id": "agent", "config": {"configurable": agent}}
            made = await asyncio.gather(*(self._asked(http, one, "/assistants", body) for one in account_ids))
            assistants = {one: found["assistant_id"] for one, found in zip(account_ids, made, strict=True)}
            owners = [account_ids[number % accounts] for number in range(threads)]
            found = await asyncio.gather(*(self._asked(http, owner, "/threads", {}) for owner in owners))
            self.threads = {one["thread_id"]: owner for one, owner in zip(found, owners, strict=True)}

            async def fill(thread_id: str, owner: str, count: int) -> None:
                for _ in range(count):
                    mark = uuid.uuid4().hex
                    said = script(mark, tokens=_TOKENS, note=f"note-{mark}", charge=f"charge-{mark}")
                    run = {
                        "assistant_id": assistants[owner],
                        "input": {"messages": [{"role": "user", "content": said}]},
                    }
                    answer = await self._asked(http, owner, f"/threads/{thread_id}/runs", run)
                    self.runs.setdefault(thread_id, []).append((answer["run_id"], mark))

            shares = [runs // threads + (number < runs % threads) for number in range(threads)]
            await asyncio.gather(
                *(fill(one, owner, share) for (one, owner), share in zip(self.threads.items(), shares, strict=True))
            )

    async def _asked(self, http: httpx.AsyncClient, account_id: str, path: str, body: Any) -> Any:
        headers = {
            "authorization": f"Bearer {self.stand.stack.token(account_id)}",
            "idempotency-key": uuid.uuid4().hex,
        }
        while True:
            try:
                answer = await http.post(path, json=body, headers=headers)
                if answer.status_code < 300:
                    return answer.json()
                assert answer.status_code >= 500 or answer.status_code in {409, 429}, answer.text
            except httpx.TransportError:
                pass
            self.repeated += 1
            await asyncio.sleep(0.5)  # between two requests of a patient client

    async def kill_at_random(self, *, for_s: float, seed: int) -> None:
        """Kill something every few seconds."""
        chance = random.Random(seed)  # noqa: S311 - no secret
        ends_at = time.monotonic() + for_s
        means: list[tuple[str, Callable[[], None], int]] = [
            *(
                (name, lambda handler=handler: self._kill_one(handler, chance), 6)
                for name, handler in _HANDLERS.items()
            ),
            ("Redis", self._kill_server(self.stand.kill_redis), 1),
            ("FLUSHALL", self.stand.redis.flushall, 2),
            ("PostgreSQL", self._kill_server(self.stand.kill_postgres), 1),
        ]
        # Each once, then as it comes.
        first = chance.sample(means, len(means))
        while time.monotonic() < ends_at:
            name, act, _ = first[0] if first else chance.choices(means, weights=[weight for *_, weight in means])[0]
            try:
                await asyncio.to_thread(act)
                self.killed[name] += 1
                first = first[1:]
            except (AssertionError, psutil.Error, *AWAY):
                continue  # there was nothing to kill, or it is being replaced
            await asyncio.sleep(chance.uniform(_PAUSE_S / 2, _PAUSE_S * 1.5))

    def _kill_server(self, act: Callable[[], object]) -> Callable[[], None]:
        def act_if_it_comes_back() -> None:
            assert not self.stand.rest_s, "the supervisor would give up"
            act()

        return act_if_it_comes_back

    def _kill_one(self, handler: str, chance: random.Random) -> None:
        pids = [
            found.pid
            for found in psutil.process_iter(["cmdline"])
            if handler in (found.info["cmdline"] or []) and _is_of(found, self.stand.stack)
        ]
        assert pids, f"nobody runs {handler}"
        kill(chance.choice(pids))

    async def settled(self) -> None:
        """Wait until every run is settled."""
        ends_at = time.monotonic() + _LONGEST_S
        left = -1
        while time.monotonic() < ends_at:
            try:
                left = await self._fetch_value(
                    "SELECT count(*) FROM agent_runs WHERE thread_id = ANY ($1) AND settled_at IS NULL",
                    [uuid.UUID(thread_id) for thread_id in self.threads],
                )
                if left == 0:
                    return
            except AWAY:
                pass
            await asyncio.sleep(1)  # between two looks at an observable state

    async def _fetch_value(self, query: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.stand.stack.fields["database_url"])
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def problems(self) -> dict[str, list[str]]:
        """By run (or thread): what is wrong."""
        found: dict[str, list[str]] = {}
        connection = await asyncpg.connect(self.stand.stack.fields["database_url"])
        try:
            for thread_id, accepted in self.runs.items():
                run_ids = [run_id for run_id, _ in accepted]
                if wrong := log_problems(await self._events(thread_id), run_ids=run_ids):
                    found[f"thread {thread_id}"] = wrong
                rows = await connection.fetch(
                    "SELECT * FROM agent_runs WHERE thread_id = $1 ORDER BY number",
                    uuid.UUID(thread_id),
                )
                if [str(row["agent_run_id"]) for row in rows] != run_ids:
                    found[f"runs of {thread_id}"] = [f"duplicated: {len(rows)} runs for {len(run_ids)} accepted"]
                for row in rows:
                    if row["status"] != "completed" or row["settled_at"] is None:
                        wrong = [f"lost: it is {row['status']}, settled {row['settled_at']}: {row['error']}"]
                        found.setdefault(str(row["agent_run_id"]), []).extend(wrong)
                for run_id, mark in accepted:
                    messages = await connection.fetch(
                        """
                        SELECT type, content FROM messages WHERE agent_run_id = $1 AND type <> 'summary'
                        ORDER BY run_number, position
                        """,
                        uuid.UUID(run_id),
                    )
                    wrong = message_problems(
                        [{"type": row["type"], "content": json.loads(row["content"])} for row in messages],
                        tokens=_TOKENS,
                        notes=self.stand.control.effects(thread_id, f"note-{mark}"),
                        charges=self.stand.control.effects(thread_id, f"charge-{mark}"),
                    )
                    if wrong:
                        found.setdefault(run_id, []).extend(wrong)
        finally:
            await connection.close()
        return found

    async def _events(self, thread_id: str) -> list[dict[str, Any]]:
        key = await events_key(self.stand.stack.fields["database_url"], thread_id)
        return [json.loads(entry["frame"]) for _, entry in self.stand.redis.xrange(key)]


def _is_of(process: psutil.Process, stack: RunningStack) -> bool:
    try:
        return process.environ().get("SUNA_STACK_ID") == stack.fields["stack_id"]
    except psutil.Error:
        return False


async def _play(stand: Stand, arguments: argparse.Namespace) -> tuple[Burst, dict[str, list[str]]]:
    burst = Burst(stand)
    began = time.monotonic()
    killing = asyncio.create_task(burst.kill_at_random(for_s=arguments.kill_s, seed=arguments.seed))
    await burst.accept(runs=arguments.runs, threads=arguments.threads, accounts=arguments.accounts)
    accepted = time.monotonic() - began
    print(f"accepted after {accepted:.0f} s, {burst.repeated} requests repeated")
    await killing
    await burst.settled()
    print(f"settled after {time.monotonic() - began:.0f} s; killed: {dict(burst.killed)}")
    return burst, await burst.problems()


def main() -> int:
    """Play it; fails unless every run that was accepted has ended well, once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=sized(1000, 4))
    parser.add_argument("--threads", type=int, default=sized(100, 2))
    parser.add_argument("--accounts", type=int, default=sized(20, 2))
    parser.add_argument("--kill-s", type=float, default=sized(120.0, 2.0))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with (
        deployed() as stack,
        tempfile.TemporaryDirectory(dir=LOCAL_DIR) as folder,
        standing(stack, Path(folder)) as stand,
    ):
        burst, problems = asyncio.run(_play(stand, arguments))
    for what, wrong in problems.items():
        for problem in wrong:
            print(f"  {what}: {problem}")
    accepted = sum(map(len, burst.runs.values()))
    lost, duplicated = (
        sum(problem.startswith(word) for wrong in problems.values() for problem in wrong)
        for word in ("lost", "duplicated")
    )
    survived = accepted - len(problems)
    print(f"burst: {accepted} injected, {survived} survived, {lost} lost, {duplicated} duplicated")
    return 0 if not problems and accepted == arguments.runs else 1


if __name__ == "__main__":
    sys.exit(main())
