"""Which models a plan allows: patterns of canonical names, ``provider/name`` (``shared.llm.canonical``)."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def refusal(names: Iterable[str], patterns: Sequence[str] | None) -> str | None:
    """What is said of the first of ``names`` that no pattern matches; ``None``: all are allowed.

    ``*`` in a pattern stands for anything, ``?`` for one character, case counts. Without patterns (``None``) the plan
    allows every model that the stack serves.
    """
    if patterns is None:
        return None
    for name in names:
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            return f"the account's plan does not allow the model {name!r}: name one of {', '.join(patterns)}"
    return None
