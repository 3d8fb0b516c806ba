"""What an account's plan lets its agents name: models, and providers' keys, each by patterns of names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, kw_only=True)
class Named:
    """What an agent names, as far as it is known.

    ``models``: canonical names, ``provider/name`` (``shared.llm.canonical``). ``extra_key``: a provider's key that is
    not its usual one (``shared.provider_keys.extra_key``).
    """

    models: Sequence[str] = ()
    extra_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a plan does not allow it: ``{code, message}`` of a run's error; ``limit``: the plan's column."""

    limit: str
    code: str
    message: str
    patterns: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Patterns of a plan: ``*`` stands for anything but a slash, ``**`` for anything, ``?`` for one character but a
    slash; case counts.

    ``models``: ``None``: every model that the stack serves. ``provider_keys``: ``None``: only the usual ones.
    """

    models: Sequence[str] | None
    provider_keys: Sequence[str] | None

    def refusal(self, named: Named) -> Refusal | None:
        """What is said of the first thing named that the plan does not allow; ``None``: it allows everything."""
        if self.models is not None:
            for model in named.models:
                if not _matches(model, self.models):
                    return Refusal(
                        limit="models",
                        code="model_not_allowed",
                        message=f"the account's plan does not allow the model {model!r}: name one of"
                        f" {', '.join(self.models)}",
                        patterns=self.models,
                    )
        key, keys = named.extra_key, self.provider_keys or ()
        if key is None or _matches(key, keys):
            return None
        listed = f"name one of {', '.join(keys)}" if keys else "have whoever runs this stack list it (provider_keys)"
        return Refusal(
            limit="provider_keys",
            code="provider_key_not_allowed",
            message=f"the account's plan does not allow the provider key {key!r}: leave provider_key out for the"
            f" provider's usual key, or {listed}",
            patterns=keys,
        )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(_compiled(pattern).fullmatch(name) for pattern in patterns)


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(_WILD.get(part) or re.escape(part) for part in parts))
