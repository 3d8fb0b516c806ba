"""Which model answers: the scripted one, or the user's provider."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from suna_localstack.up.errors import StackError

_PROVIDER_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_(API_KEY|API_BASE|API_VERSION|BASE_URL)")
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
    found = {name: value for name, value in given.items() if _PROVIDER_VARIABLE.fullmatch(name) and value.strip()}
    for name, value in found.items():
        if name.endswith(("_API_BASE", "_BASE_URL")) and not re.match(r"https?://[^/]", value):
            raise StackError(f"{name}={value} is no address: write it with http:// or https://, or unset it")
    return found


def choose(given: Mapping[str, str], model_url: str) -> Provider:
    """``MODEL`` with the provider's variables of ``given``, or the scripted model.

    Raises:
        StackError: ``MODEL`` is set and nothing says how to reach its provider.
    """
    model = given.get("MODEL", "").strip()
    if not model or model == SCRIPTED_MODEL:
        return Provider(SCRIPTED_MODEL, {"OPENAI_API_BASE": f"{model_url}/v1", "OPENAI_API_KEY": "scripted"})
    variables = _variables(given)
    prefix = model.split("/")[0].upper() if "/" in model else ""
    if not any(name.startswith(prefix) for name in variables):
        wanted = f"{prefix or 'OPENAI'}_API_KEY"
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
