"""Attacks on the deployed stack: one counts only if it gets through where its defence is switched off."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack, give_plan
from tests.e2e.threads import ended_run, new_thread, start_run
from tests.mutants import Mutant


@dataclass
class Account:
    """Somebody who has a token, as anybody may have one."""

    stack: RunningStack
    account_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @cached_property
    def client(self) -> Stack:
        """The stack as this account's terminal client sees it."""
        return self.stack.client_of(self.account_id)

    @asynccontextmanager
    async def http(self) -> AsyncGenerator[httpx.AsyncClient]:
        """Requests of this account."""
        async with httpx.AsyncClient(base_url=self.stack.base_url, headers=self.client.headers, timeout=60) as http:
            yield http

    async def thread(self, said: str | None = None) -> str:
        """A thread of this account, on which ``said`` was said."""
        async with self.http() as http:
            thread_id = await new_thread(http)
            if said is not None:
                await ended_run(http, await start_run(http, thread_id, f"[[say {said}]]"))
        return thread_id

    async def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """One request."""
        async with self.http() as http:
            return await http.request(method, path, **how)


async def limited(stack: RunningStack, **limits: Any) -> Account:
    """An account on a plan of its own, which has room for all that ``limits`` does not say."""
    account = Account(stack)
    room = {"requests_per_minute": 1_000_000, "request_burst": 1_000_000}
    await give_plan(stack, account.account_id, **(room | limits))
    return account


type Play = Callable[[RunningStack], Awaitable[bool]]


@dataclass(frozen=True)
class Attack:
    """An attack, and the one defence that it meets.

    name: what the attacker wants.
    play: does it, with accounts of its own; true if it got through.
    defence: what has to be switched off for that; several texts if it stands in several functions.
    """

    name: str
    play: Play
    defence: tuple[Mutant, ...]


def without(file: str, old: str, new: str) -> Mutant:
    """A text of the sources, and the one that is there where the defence is switched off."""
    return Mutant(name=file, file=file, old=old, new=new, test="")
