"""Which model answers: the scripted one, or the user's provider."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from suna_localstack.up.errors import StackError
from suna_localstack.up.variables import PROVIDER

SCRIPTED_MODEL = "openai/scripted"


@dataclass(frozen=True)
class Provider:
    """A litellm model name, and the environment variables its provider needs."""

    model: str
    variables: dict[str, str]


def _variables(given: Mapping[str, str]) -> dict[str, str]:
    """The providers' variables of ``given``.

    Raises:
        StackError: one is an address, and not of the web.
    """
    found = {name: value for name, value in given.items() if PROVIDER.fullmatch(name) and value.strip()}
    for name, value in found.items():
        if name.endswith(("_API_BASE", "_BASE_URL")) and not re.match(r"https?://[^/]", value):
            raise StackError(f"{name}={value} is no address: write it with http:// or https://, or unset it")
    return found


def _is_of(variable: str, provider: str) -> bool:
    """Whether a variable is a provider's: TOGETHERAI_API_KEY is together_ai's, OLLAMA_API_BASE ollama_chat's, too."""
    words = re.split(r"[^a-z0-9]+", provider.lower())
    names = ["".join(words), words[0], *(["hf"] if provider == "huggingface" else [])]
    letters = re.sub(r"[^a-z0-9]", "", variable.lower())
    return any(re.fullmatch(rf"{name}(apikey|apibase|apiversion|baseurl|token)", letters) for name in names if name)


def choose(given: Mapping[str, str], model_url: str) -> Provider:
    """``MODEL`` with the provider's variables of ``given``, or the scripted model.

    Raises:
        StackError: ``MODEL`` is set and nothing says how to reach its provider.
    """
    model = given.get("MODEL", "").strip()
    if not model or model == SCRIPTED_MODEL:
        return Provider(SCRIPTED_MODEL, {"OPENAI_API_BASE": f"{model_url}/v1", "OPENAI_API_KEY": "scripted"})
    provider, slash, name = model.partition("/")
    if not (provider and slash and name):
        raise StackError(f"MODEL={model} names no provider: write it as litellm does, for example openai/{model}")
    variables = _variables(given)
    if not any(_is_of(variable, provider) for variable in variables):
        wanted = f"{provider.upper()}_API_KEY"
        raise StackError(f"MODEL={model} needs its provider's key: set {wanted} in the environment or in .env")
    return Provider(model, variables)


def renewed(running: Provider, given: Mapping[str, str], model_url: str) -> Provider:
    """What a running stack is to have now: what ``given`` says, and as it was where that says nothing.

    Raises:
        StackError: ``MODEL`` is set and nothing says how to reach its provider.
    """
    if given.get("MODEL", "").strip():
        return choose(given, model_url)
    if running.model == SCRIPTED_MODEL:
        return running
    return Provider(running.model, running.variables | _variables(given))
