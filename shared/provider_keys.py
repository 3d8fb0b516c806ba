"""Which of the provider secret's entries are keys, and whose: an assistant may name one, and it goes to nobody else.

An entry is named as litellm looks for it, provider first (``ANTHROPIC_API_KEY``), with anything behind it to tell
several apart (``ANTHROPIC_API_KEY_TEAM_A``).
"""

import re
from collections.abc import Collection

# Of one vendor, with one key.
_FAMILIES = {
    "anthropic_text": "anthropic",
    "azure_text": "azure",
    "cohere_chat": "cohere",
    "ollama_chat": "ollama",
    "text-completion-codestral": "codestral",
    "text-completion-openai": "openai",
    "vertex_ai_beta": "vertex_ai",
    "watsonx_text": "watsonx",
}
# Names that do not begin with litellm's name of the provider.
_OTHER_NAMES = {"google": "gemini", "hf": "huggingface", "zhipuai": "zai"}
_KEY = re.compile(r"(?:^|_)(?:KEY|TOKEN|APIKEY)(?:_|$)")


def provider_of_key(name: str, providers: Collection[str]) -> str | None:
    """The provider that a key is for, by its name; ``None`` if it is no key, or nobody's."""
    if _KEY.search(name) is None:
        return None
    letters = _letters(name)
    known = {_letters(provider): provider for provider in providers} | _OTHER_NAMES
    found = max((begin for begin in known if letters.startswith(begin)), key=len, default=None)
    return None if found is None else _family(known[found])


def is_key_of(name: str, provider: str, providers: Collection[str]) -> bool:
    """Whether the key may be sent to the provider."""
    return provider_of_key(name, providers) == _family(provider)


def extra_key(name: str | None, providers: Collection[str]) -> str | None:
    """``name``, unless it is the usual key of one of ``providers`` (``ANTHROPIC_API_KEY``), which everybody is served
    with who names none.
    """
    usual = {f"{_letters(_family(provider))}apikey" for provider in providers}
    return None if name is None or _letters(name) in usual else name


def keyed(names: Collection[str], providers: Collection[str]) -> frozenset[str]:
    """The providers for which there is a key among ``names``."""
    families = {provider_of_key(name, providers) for name in names}
    return frozenset(provider for provider in providers if _family(provider) in families)


def _family(provider: str) -> str:
    return _FAMILIES.get(provider, provider)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
