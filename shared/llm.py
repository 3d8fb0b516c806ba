"""Models, through litellm. Its import and its first call are slow: both happen in a function's init phase.

Imported by the runner and the summarizer only; the API must not pay for it (a contract that is checked).
"""

import gc
import json
import os
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiohttp

from shared.allowed import Named
from shared.aws.secrets import forget, secret
from shared.domain import Json
from shared.model_names import is_model_name
from shared.provider_keys import extra_key, is_key_of, keyed
from shared.settings import ModelSettings, Price
from shared.telemetry import quiet

# A third of the import's time would be spent on collecting what is all still needed.
gc.disable()
import litellm  # noqa: E402
from litellm.exceptions import AuthenticationError  # noqa: E402
from openai import APIError, OpenAIError  # noqa: E402

gc.enable()

# Names of some models would otherwise make it ask a hub for a tokenizer, for 23 s where there is none to be reached.
litellm.disable_hf_tokenizer_download = True
litellm.telemetry = False
litellm.suppress_debug_info = True
quiet("LiteLLM")

_builder: Any = litellm.stream_chunk_builder  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _usage_told(chunks: Sequence[Any] | None, messages: object = None, **_: object) -> Any:
    """In place of litellm's builder: of all an answer's chunks only the usage that its provider has told.

    litellm puts every answer together once more when it ends, and counts the tokens of what a provider has not counted,
    on the event loop: a second for a long one. It is for its caches and callbacks, of which there are none here.
    ``messages`` are not counted: what nobody has told is estimated elsewhere, and marked.
    """
    del messages
    telling = [chunk for chunk in chunks or () if getattr(chunk, "usage", None) is not None]
    built = _builder(chunks=telling) if telling else None
    usage = getattr(built, "usage", None)
    return built if usage and usage.prompt_tokens and usage.completion_tokens else None


litellm.stream_chunk_builder = _usage_told
_acompletion: Any = litellm.acompletion  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_model_list: Any = litellm.model_list  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_model_cost: Any = litellm.model_cost  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_provider_list: Any = litellm.provider_list  # pyright: ignore[reportUnknownMemberType]
_PROVIDERS = frozenset(str(getattr(provider, "value", provider)) for provider in _provider_list)
# Their logins ask a server and sleep, on the loop: nobody is served by them, whatever the settings list. Found by
# tests/unit/test_loop_blockers.py.
BLOCKING = frozenset({"chatgpt", "github_copilot"})
# Every exception of litellm that a provider can cause is one of openai's.
ModelError = OpenAIError


class UnknownProviderKeyError(ModelError):
    """An assistant names a key that the provider secret does not have, or not for the provider of its model."""


class ModelNotAllowedError(ModelError):
    """The stack does not serve the model: it has no key for the provider, or nobody knows whose it is."""


# What no other try would change.
_FINAL = (UnknownProviderKeyError, ModelNotAllowedError)
# A request that got one of these may succeed later as it is; so may one that got no answer at all.
_PASSING_STATUSES = frozenset({408, 409, 425, 429})

REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A whole answer. ``usage``: as the provider tells it (litellm's shape), ``None`` where it does not."""

    text: str
    usage: Any


class Llm:
    """Chat completions: streamed, or whole."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._keys: dict[str, str] | None = None
        # Of those keys.
        self._keyed: frozenset[str] = frozenset()
        self._session: aiohttp.ClientSession | None = None

    @property
    def default_model(self) -> str:
        """The model of runs that name none."""
        return self._settings.default_model

    @property
    def shows_errors(self) -> bool:
        """Whether runs tell what providers say of an error."""
        return self._settings.shows_provider_errors

    @property
    def model_prices(self) -> Mapping[str, Price]:
        """The operator's prices."""
        return self._settings.model_prices

    async def warm_up(self) -> None:
        """Make litellm's first call, which takes it 0.6 s, without a provider."""
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
            ModelError: see ``shared.provider_errors``.
        """
        await self.load_keys()
        return await self._call(
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
            **await self._named_key(provider_key, model),
        )

    async def complete(
        self,
        *,
        model: str,
        messages: Sequence[Json],
        max_tokens: int | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        provider_key: str | None = None,
    ) -> Completion:
        """A completion in one piece; ``max_tokens`` and ``provider_key`` as in :meth:`stream`, raises as that."""
        await self.load_keys()
        answer = await self._call(
            model=model,
            messages=list(messages),
            timeout=timeout_s,
            num_retries=0,
            max_retries=0,
            drop_params=True,
            **({} if max_tokens is None else {"max_tokens": max_tokens}),
            **await self._named_key(provider_key, model),
        )
        return Completion(text=answer.choices[0].message.content or "", usage=getattr(answer, "usage", None))

    async def close(self) -> None:
        """Close the connections to providers."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _connections(self) -> aiohttp.ClientSession:
        """One session for all providers and keys: litellm's own have a pool each, of a thousand connections."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._settings.model_connections,
                    limit_per_host=self._settings.model_connections_per_host,
                    ttl_dns_cache=self._settings.model_dns_ttl_s,
                ),
                # A provider's cookies are nobody's business.
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def providers(self) -> frozenset[str]:
        """The providers whose models may be named: those with a key in the provider secret, the default model's, and
        those that the settings list.

        An assistant names any model, and litellm would do for it whatever its provider takes: log in by a device, ask
        servers of this machine, download weights. So a name is passed on only if the operator has meant its provider.
        """
        listed = {name.strip() for name in self._settings.model_providers.split(",") if name.strip()}
        default = provider_of(self._settings.default_model)
        await self.load_keys()
        return (self._keyed | listed | ({default} if default else set[str]())) - BLOCKING

    async def check_models(self, models: Iterable[str]) -> None:
        """See to it that the stack serves each of ``models``, before anything of litellm sees its name.

        Raises:
            ModelNotAllowedError: it does not serve one of them.
        """
        allowed = await self.providers()
        for model in models:
            if model == self._settings.default_model:
                continue
            if not is_model_name(model):
                raise ModelNotAllowedError(f"{model!r} is no model's name: name one as provider/name")
            if provider_of(model) not in allowed:
                raise ModelNotAllowedError(
                    f"this stack does not serve {model!r}: its providers are {', '.join(sorted(allowed)) or 'none'}; a"
                    " provider is added by its key in the provider secret"
                )

    async def _call(self, **arguments: Any) -> Any:
        await self.check_models([arguments["model"]])
        try:
            return await _acompletion(**arguments, shared_session=self._connections())
        except AuthenticationError:
            self._forget_keys()
            raise

    def _forget_keys(self) -> None:
        """The provider has refused its key, which may have been changed."""
        self._keys = None
        forget(self._settings.provider_secret_arn)

    async def load_keys(self) -> dict[str, str]:
        """Put the providers' keys where litellm looks for them: the environment of this process, and no log."""
        keys = self._keys
        if keys is None:
            arn = self._settings.provider_secret_arn
            keys = self._keys = json.loads(await secret(arn)) if arn else {}
            self._keyed = keyed(keys, _PROVIDERS)
            os.environ.update(keys)
        return keys

    async def _named_key(self, name: str | None, model: str) -> Json:
        """litellm's argument for a key that an assistant names. Only the provider secret is looked at."""
        keys = await self.load_keys()
        if name is None:
            return {}
        if name not in keys or not may_use_key(name, model):
            raise UnknownProviderKeyError(f"the provider secret has no key {name!r} for {model!r}")
        return {"api_key": keys[name]}


def usage_of(reported: Any) -> Json:
    """A provider's token counts, ``{"input_tokens", "output_tokens", "total_tokens"}``, as the protocol names them."""
    return {
        "input_tokens": reported.prompt_tokens,
        "output_tokens": reported.completion_tokens,
        "total_tokens": reported.total_tokens,
    }


def known_models(providers: Collection[str]) -> list[str]:
    """The models that litellm lists by name and that one of ``providers`` serves."""
    named = filter(is_model_name, map(str, _model_list))
    return sorted({model for model in named if provider_of(model) in providers})


def provider_of(model: str) -> str | None:
    """The provider that serves a model, by its name alone; ``None`` if litellm does not list it.

    litellm's own function would look for some providers' credentials, and begin to log in.
    """
    prefix, slash, _ = model.partition("/")
    if slash and prefix in _PROVIDERS:
        return prefix
    listed: Json | None = _model_cost.get(model)
    return None if listed is None else _provider_listed_as(str(listed.get("litellm_provider")))


@cache
def _provider_listed_as(kind: str) -> str:
    """litellm lists models of some providers by how they are asked (``bedrock_converse``), or by what they are for
    (``vertex_ai-language-models``): names that are no provider's, and that it does not take before a model's.
    """
    of = [name for name in _PROVIDERS if kind.startswith((f"{name}_", f"{name}-"))]
    return kind if kind in _PROVIDERS else max(of, key=len, default=kind)


def canonical(model: str) -> str:
    """The one name of a model, ``provider/name``, whichever way litellm takes it; as it is, if nobody lists it."""
    provider = provider_of(model)
    return model if provider is None or model.startswith(f"{provider}/") else f"{provider}/{model}"


def named(models: Iterable[str], provider_key: str | None) -> Named:
    """What is named by these names of models, and of a key, as plans know it."""
    return Named(models=[canonical(model) for model in models], extra_key=extra_key(provider_key, _PROVIDERS))


def may_use_key(name: str, model: str) -> bool:
    """Whether a key of the provider secret, by its name, is one of the provider that serves the model."""
    provider = provider_of(model)
    return provider is not None and is_key_of(name, provider, _PROVIDERS)


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later: the provider is busy, broken or away, not the request wrong."""
    status = getattr(error, "status_code", None)
    if isinstance(error, APIError) and isinstance(status, int):
        return status in _PASSING_STATUSES or status >= 500
    return not isinstance(error, _FINAL)
