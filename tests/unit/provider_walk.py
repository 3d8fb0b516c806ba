"""Asks a model of every provider that litellm knows, where there is no network, and prints what blocks the loop.

``python -m tests.unit.provider_walk``: a process of its own, since it takes the network, sleep and processes away from
everybody in it. Prints ``{"served": [...], "blocking": {provider: [what]}}``.
"""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import asyncio
import json
import socket
import subprocess
import threading
import time
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import litellm

from shared import llm as models
from shared.domain import Json
from shared.llm import Llm
from shared.prices import Prices
from shared.provider_errors import error_of
from shared.settings import ModelSettings

_LONGEST_S = 60.0
_LOOP = threading.current_thread()
_provider: ContextVar[str | None] = ContextVar("provider", default=None)
_blocking: dict[str, set[str]] = {}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def _note(what: str) -> None:
    provider = _provider.get()
    if threading.current_thread() is _LOOP and provider is not None:
        _blocking.setdefault(provider, set()).add(what)


def _without_network() -> None:
    def connect(self: socket.socket, _address: Any) -> None:
        if self.gettimeout() != 0:
            _note("connect")
        raise ConnectionRefusedError("there is no network")

    def getaddrinfo(*_: Any, **__: Any) -> None:
        _note("getaddrinfo")
        raise socket.gaierror("there is no network")

    def popen(*_: Any, **__: Any) -> None:
        _note("a process")
        raise OSError("there are no processes")

    changes: list[tuple[Any, str, Any]] = [
        (socket.socket, "connect", connect),
        (socket, "getaddrinfo", getaddrinfo),
        (time, "sleep", lambda _: _note("sleep")),
        (subprocess, "Popen", popen),
    ]
    for where, name, instead in changes:
        setattr(where, name, instead)


async def _ask(provider: str) -> bool:
    """Ask as a run does, whatever comes of it; whether the stack would have asked."""
    _provider.set(provider)
    llm = Llm(ModelSettings(default_model="openai/x", model_providers=provider))
    served = provider in await llm.providers()
    model = f"{provider}/model"
    messages = [{"role": "user", "content": "hi"}]
    try:
        async with asyncio.timeout(_LONGEST_S):
            if served:
                asked: Json = {"tools": [_TOOL], "temperature": 0.5, "max_tokens": 10}
                stream: Any = await llm.stream(model=model, messages=messages, **asked)
                async with aclosing(stream) as chunks:
                    async for _ in chunks:
                        pass
            else:
                await models._acompletion(model=model, messages=messages)
    except Exception as error:
        error_of(error)
    Prices({}).of(model, litellm.Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2))
    await llm.close()
    return served


async def _walk() -> None:
    providers = sorted(models._PROVIDERS)
    # What the function's role has of its own; and a key for each.
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
    os.environ |= {f"{provider.upper().replace('-', '_')}_API_KEY": "x" for provider in providers}
    _without_network()
    served = await asyncio.gather(*(asyncio.create_task(_ask(provider)) for provider in providers))
    found = {
        "served": [provider for provider, is_served in zip(providers, served, strict=True) if is_served],
        "blocking": {provider: sorted(what) for provider, what in sorted(_blocking.items())},
    }
    print(json.dumps(found))  # noqa: T201 - whoever runs this reads it


asyncio.run(_walk())
