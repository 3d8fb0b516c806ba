"""Models, through litellm. Its import and its first call are slow: both happen in a function's init phase.

Imported by the runner and the summarizer only; the API must not pay for it (a contract that is checked).
"""

import gc
import json
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

from shared.aws.secrets import secret
from shared.domain import Json
from shared.settings import ModelSettings

# A third of the import's time would be spent on collecting what is all still needed.
gc.disable()
import litellm  # noqa: E402
from litellm.exceptions import (  # noqa: E402
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    RateLimitError,
    Timeout,
)
from openai import APIStatusError, OpenAIError  # noqa: E402

gc.enable()

# Names of some models would otherwise make it ask a hub for a tokenizer, for 23 s where there is none to be reached.
litellm.disable_hf_tokenizer_download = True
litellm.telemetry = False
litellm.suppress_debug_info = True

# The code that a failed run shows; whatever is not here is "model_error". Subclasses come before their bases.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (ContextWindowExceededError, "context_window_exceeded"),
    (AuthenticationError, "model_authentication"),
    (NotFoundError, "model_not_found"),
    (RateLimitError, "model_rate_limited"),
    (Timeout, "model_timeout"),
    (BadRequestError, "model_bad_request"),
)
_acompletion: Any = litellm.acompletion  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_model_list: Any = litellm.model_list  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_provider_list: Any = litellm.provider_list  # pyright: ignore[reportUnknownMemberType]
# Every exception of litellm that a provider can cause is one of openai's.
ModelError = OpenAIError

# A request that got one of these may succeed later as it is; so may one that got no answer at all.
_PASSING_STATUSES = frozenset({408, 409, 425, 429})

REQUEST_TIMEOUT_S = 60.0


class Llm:
    """Streams chat completions."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._ready = False

    @property
    def default_model(self) -> str:
        """The model of runs that name none."""
        return self._settings.default_model

    async def warm_up(self) -> None:
        """Make litellm's first call, which takes it 0.6 s, without a provider."""
        await self._load_keys()
        answer: Any = await _acompletion(
            model=self._settings.default_model,
            messages=[{"role": "user", "content": "warm up"}],
            mock_response="warm",
            stream=True,
        )
        async for _ in answer:
            pass

    async def stream(
        self,
        *,
        model: str,
        messages: Sequence[Json],
        tools: Sequence[Json] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
        provider_key: str | None = None,
    ) -> AsyncIterator[Any]:
        """Chunks of a completion, OpenAI's shape; the last one has the usage.

        ``provider_key``: the name of a key in the provider secret, in place of the provider's usual one.

        Raises:
            ModelError: see :func:`error_of`.
        """
        await self._load_keys()
        answer: Any = await _acompletion(
            model=model,
            messages=list(messages),
            stream=True,
            stream_options={"include_usage": True},
            timeout=REQUEST_TIMEOUT_S,
            # Retries are the loop's business: it knows what has been streamed already.
            num_retries=0,
            max_retries=0,
            drop_params=True,
            **({"tools": list(tools)} if tools else {}),
            **({} if temperature is None else {"temperature": temperature}),
            **({} if max_tokens is None else {"max_tokens": max_tokens}),
            **({} if provider_key is None else {"api_key": os.environ.get(provider_key, "")}),
        )
        return answer

    async def complete(
        self,
        *,
        model: str,
        messages: Sequence[Json],
        max_tokens: int | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        provider_key: str | None = None,
    ) -> str:
        """The whole text of a completion; ``max_tokens`` and ``provider_key`` as in :meth:`stream`, raises as that."""
        await self._load_keys()
        answer: Any = await _acompletion(
            model=model,
            messages=list(messages),
            timeout=timeout_s,
            num_retries=0,
            max_retries=0,
            drop_params=True,
            **({} if max_tokens is None else {"max_tokens": max_tokens}),
            **({} if provider_key is None else {"api_key": os.environ.get(provider_key, "")}),
        )
        return answer.choices[0].message.content or ""

    async def _load_keys(self) -> None:
        """Put the providers' keys where litellm looks for them: the environment of this process, and no log."""
        if self._ready:
            return
        if self._settings.provider_secret_arn:
            keys: dict[str, str] = json.loads(await secret(self._settings.provider_secret_arn))
            os.environ.update(keys)
        self._ready = True


def known_models() -> list[str]:
    """The models that litellm lists by name."""
    return sorted({str(model) for model in _model_list})


def known_providers() -> list[str]:
    """The providers that a model's name may begin with, before a slash: they serve models that nobody lists, too."""
    return sorted({str(getattr(provider, "value", provider)) for provider in _provider_list})


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later: the provider is busy, broken or away, not the request wrong."""
    status = getattr(error, "status_code", None)
    if isinstance(error, APIStatusError) and isinstance(status, int):
        return status in _PASSING_STATUSES or status >= 500
    return True


def error_of(error: Exception) -> Json:
    """What a failed run says about ``error`` of a model: ``{"code", "message"}``."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "model_error")
    message = str(getattr(error, "message", "") or error)
    return {"code": code, "message": message[:2000]}
