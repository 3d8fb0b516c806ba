"""One answer of a model, whatever it takes: limits in time, retries with backoff, fallback models."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from shared.agent_config import AgentConfig
from shared.domain import Json
from shared.errors import SunaError
from shared.llm import Llm, ModelError, is_passing, may_use_key
from shared.provider_errors import error_of

# Tries a model gets before the next one's turn, and what is waited between them.
TRIES = 3
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 8.0


class ModelTimeoutError(SunaError):
    """The model has taken longer than it may."""


@asynccontextmanager
async def model_time(limit_s: float, what: str) -> AsyncGenerator[None]:
    """A time limit whose error is told from everybody else's.

    Raises:
        ModelTimeoutError: the block took longer than ``limit_s``.
    """
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ModelTimeoutError(f"{what} within {limit_s:g} s") from error


@dataclass(frozen=True)
class Attempt:
    """One try: which model, and how long to wait before."""

    model: str
    backoff_s: float


def models_of(config: AgentConfig, *, default_model: str) -> tuple[str, ...]:
    """The models that an answer may come from, in the order in which they are asked."""
    return (config.model or default_model, *config.fallback_models)


def attempts(config: AgentConfig, *, default_model: str) -> list[Attempt]:
    """The tries of one answer, in order: each model several times, each time after a longer, jittered pause."""
    return [
        Attempt(model, _backoff_s(number))
        for model in models_of(config, default_model=default_model)
        for number in range(TRIES)
    ]


def _backoff_s(number: int) -> float:
    if number == 0:
        return 0.0
    longest = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2**number)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter


def _key_for(config: AgentConfig, model: str) -> str | None:
    """The assistant's key, but for a fallback model of another provider, which has the usual one."""
    name = config.provider_key
    if name is not None and model in config.fallback_models and not may_use_key(name, model):
        return None
    return name


@dataclass(frozen=True)
class Failure:
    """Why a try failed. ``passing``: the same try may succeed later; ``overflow``: the context is too long for it.

    ``refused``: the provider has said no, or was not reached: it has done nothing if it has not begun to answer.
    """

    error: Json
    passing: bool
    overflow: bool = False
    refused: bool = False

    @classmethod
    def of(cls, error: Exception, *, in_full: bool) -> "Failure":
        """The failure that ``error`` of a model is; ``in_full``: see ``provider_errors.error_of``."""
        if isinstance(error, ModelTimeoutError):
            return cls({"code": "model_timeout", "message": error.message}, passing=True)
        told = error_of(error, in_full=in_full)
        return cls(
            told,
            passing=is_passing(error),
            overflow=told["code"] == "context_window_exceeded",
            refused=told["code"] != "model_timeout",
        )


FAILURES = (ModelError, ModelTimeoutError)


async def chunks_of(
    llm: Llm, *, config: AgentConfig, model: str, messages: list[Json], tools: list[Json]
) -> AsyncGenerator[Any]:
    """The chunks of one try. Close it: the provider stops generating (and charging) when its connection is closed.

    Raises:
        ModelTimeoutError: the first or the next chunk took longer than ``model_idle_s``.
        ModelError: what the provider said.
    """
    idle_s = config.limits.model_idle_s
    async with model_time(idle_s, "the model has not begun to answer"):
        stream = await llm.stream(
            model=model,
            messages=messages,
            tools=tools,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            provider_key=_key_for(config, model),
        )
    try:
        while True:
            async with model_time(idle_s, "the model has not gone on with its answer"):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            yield chunk
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
