"""Names of models: what one may be, and which of them a plan allows, by patterns of canonical names, ``provider/name``
(``shared.llm.canonical``).
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

# Some providers have the name in the address that is asked: nothing in it may be more than a name there.
_NAME = re.compile(r"[A-Za-z0-9._:/@+~-]+")
_NO_PART = frozenset({"", ".", ".."})
_WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def is_model_name(name: str) -> bool:
    """Whether it is letters, digits and ``._:@+~-`` between slashes, and no part of it empty, ``.`` or ``..``."""
    return _NAME.fullmatch(name) is not None and _NO_PART.isdisjoint(name.split("/"))


def refusal(names: Iterable[str], patterns: Sequence[str] | None) -> str | None:
    """What is said of the first of ``names`` that no pattern matches; ``None``: all are allowed.

    ``*`` in a pattern stands for anything but a slash, ``**`` for anything, ``?`` for one character but a slash; case
    counts. Without patterns (``None``) the plan allows every model that the stack serves.
    """
    if patterns is None:
        return None
    for name in names:
        if not any(_compiled(pattern).fullmatch(name) for pattern in patterns):
            return f"the account's plan does not allow the model {name!r}: name one of {', '.join(patterns)}"
    return None


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(_WILD.get(part) or re.escape(part) for part in parts))
