"""Which agent a run gets: an assistant's configuration, with what the run overrides, checked against the catalogue."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import ValidationError

from shared.agent_config import DEFAULT_AGENT, DEFAULT_ASSISTANT_ID, AgentConfig
from shared.allowed import Named
from shared.database import assistants, connection, plans
from shared.errors import InvalidRequestError, NotFoundError
from shared.provider_keys import extra_key

# A new deployment of the runner may know more; it is asked again after a minute, and at once for an unknown name.
_CATALOGUE_LIFE_S = 60.0

DEFAULT_ASSISTANT_UUID = uuid5(NAMESPACE_URL, f"suna:{DEFAULT_ASSISTANT_ID}")


@dataclass(frozen=True)
class Catalogue:
    """What the runner can use; ``None``: it has not said yet, and will refuse by itself what it does not know."""

    tools: frozenset[str] | None
    models: frozenset[str] | None
    providers: frozenset[str] | None
    canonical: Mapping[str, str] | None
    default_model: str | None
    read_at: float

    def problem(self, config: AgentConfig) -> str | None:
        """The first name in ``config`` that means nothing here."""
        for tool in config.tools:
            if self.tools is not None and tool not in self.tools:
                return f"there is no tool {tool!r}; there are {', '.join(sorted(self.tools))}"
        for model in [*([config.model] if config.model else []), *config.fallback_models]:
            if not self._knows_model(model):
                providers = ", ".join(sorted(self.providers or ()))
                return (
                    f"there is no model {model!r}: name one as litellm does, for example 'openai/gpt-4o'; the stack's"
                    f" providers are {providers}"
                )
        return None

    def _knows_model(self, model: str) -> bool:
        if self.models is None or self.providers is None:
            return True
        provider, slash, name = model.partition("/")
        return model in self.models or (bool(slash and name) and provider in self.providers)

    def named_by(self, config: AgentConfig) -> Named:
        """What it names that its account's plan has to allow, as far as it is known here."""
        if self.canonical is None or self.providers is None:
            return Named()
        model = config.model or self.default_model
        return Named(
            models=[self.canonical.get(name, name) for name in ([model] if model else []) + config.fallback_models],
            extra_key=extra_key(config.provider_key, self.providers),
        )


def is_default(assistant_id: str) -> bool:
    """Whether it is the assistant that everybody has, by its name or its UUID."""
    return assistant_id in {DEFAULT_ASSISTANT_ID, str(DEFAULT_ASSISTANT_UUID)}


_read: list[Catalogue] = []


async def _catalogue(*, fresh: bool) -> Catalogue:
    if fresh or not _read or time.monotonic() - _read[-1].read_at > _CATALOGUE_LIFE_S:
        async with connection() as taken:
            tools: list[dict[str, Any]] | None = await assistants.catalogue(taken, "tools")
            models: dict[str, Any] | None = await assistants.catalogue(taken, "models")
        _read[:] = [
            Catalogue(
                tools=None if tools is None else frozenset(tool["name"] for tool in tools),
                models=None if models is None else frozenset(models["models"]),
                providers=None if models is None else frozenset(models["providers"]),
                # Not in those that an older runner has written.
                canonical=None if models is None else models.get("canonical"),
                default_model=None if models is None else models.get("default"),
                read_at=time.monotonic(),
            )
        ]
    return _read[-1]


async def check(config: AgentConfig) -> AgentConfig:
    """``config``, if everything it names exists.

    Raises:
        InvalidRequestError: a tool or model does not.
    """
    problem = (await _catalogue(fresh=False)).problem(config)
    if problem is not None:
        problem = (await _catalogue(fresh=True)).problem(config)
    if problem is not None:
        raise InvalidRequestError(problem)
    return config


async def admit(config: AgentConfig, *, account_id: str) -> None:
    """See to it that an assistant of the account may be like this.

    Raises:
        InvalidRequestError: as :func:`check`.
        ForbiddenError: the account's plan does not allow one of its models, or its provider's key.
    """
    await check(config)
    async with connection() as taken:
        allowed = await plans.allowed(taken, account_id=account_id)
    plans.admit(await named_by(config), allowed)


async def named_by(config: AgentConfig) -> Named:
    """What it names that its account's plan has to allow; nothing while the runner has not said what there is."""
    return (await _catalogue(fresh=False)).named_by(config)


async def agent_of(*, account_id: str, assistant_id: str, overrides: dict[str, Any]) -> AgentConfig:
    """The agent of a run.

    Args:
        account_id: the caller's.
        assistant_id: a UUID, or ``agent`` for the assistant that everybody has, which has a UUID too.
        overrides: fields of :class:`AgentConfig`.

    Raises:
        NotFoundError: there is no such assistant.
        InvalidRequestError: the overrides are not valid.
    """
    if is_default(assistant_id):
        base = DEFAULT_AGENT
    else:
        base = await _stored(account_id=account_id, assistant_id=assistant_id)
    if not overrides and base is DEFAULT_AGENT:
        return base
    return await check(parse(overrides, base=base))


async def _stored(*, account_id: str, assistant_id: str) -> AgentConfig:
    try:
        async with connection() as taken:
            found = await assistants.get(taken, assistant_id=UUID(assistant_id), account_id=account_id)
    except (ValueError, NotFoundError) as error:
        raise NotFoundError(
            f"there is no assistant {assistant_id!r}: create one, or use {DEFAULT_ASSISTANT_ID!r}"
        ) from error
    return found.config


def parse(fields: dict[str, Any], *, base: AgentConfig | None = None) -> AgentConfig:
    """``fields`` as a configuration, over ``base``.

    Raises:
        InvalidRequestError: a field does not exist or has a wrong value; the message names it.
    """
    try:
        return (base or AgentConfig()).overridden(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise InvalidRequestError(f"config.configurable.{field}: {problem['msg']}") from error
