"""What others have said, without what is nobody else's business: before it is logged, told to a client or to a model.

Foreign text that is only told so that somebody knows what happened is ``scrubbed``: of whatever looks like a key, a
password or a path. What a model is told of its tools has to stay of use to it: only our own secrets are taken out.
"""

import json
import os
import re
from collections.abc import Iterable
from typing import Any

_LONGEST_TEXT = 500
# Names of what is secret, in the environment (where the platform, and litellm, look for keys) and in secrets.
_SECRET_NAME = re.compile(r"(?i)(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD)(?:_|$)")
_NO_SECRET_NAME = re.compile(r"(?i)_(?:ARN|ID|NAME|URL|FILE|PATH)$")
# A shorter one is a word that is said for other reasons (of the local stack: "scripted").
_SHORTEST_SECRET = 12

_SCRUBBED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s*Traceback \(most recent call last\).*", re.DOTALL), ""),
    # User and password of an address, and its query.
    (re.compile(r"(?<=://)[^/\s@]+@"), ""),
    (re.compile(r"(\w+://[^\s?\"']+)\?[^\s\"']*"), r"\1"),
    # Keys: by how they begin, by what is said before them, by their stars, by their length.
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|r8|gh[a-z]|github|glpat|xox[a-z])[-_][\w.*+/=-]{4,}"), "[key]"),
    (re.compile(r"\b(?:AIza|AKIA|ASIA|ya29|eyJ)[\w.*+/=-]{8,}"), "[key]"),
    (
        re.compile(
            r"(?i)\b(bearer|basic|(?:api[ _-]?)?keys?(?: provided)?|token|secret|password)(\W{1,4})(?=\S*[\d*])\S+"
        ),
        r"\1\2[key]",
    ),
    (re.compile(r"\S*\*{3,}\S*"), "[key]"),
    (re.compile(r"\b(?=[a-zA-Z+/=_]*\d)(?=[0-9+/=_]*[a-zA-Z])[A-Za-z0-9+/=_]{20,}"), "[key]"),
    # Paths of some machine; those of an address follow its host.
    (re.compile(r"(?<![\w.:/-])~?/(?:[\w.@+-]+/)+[\w.@+-]*"), "[path]"),
    (re.compile(r"\b[A-Za-z]:\\\S+"), "[path]"),
    (re.compile(r"\s+"), " "),
)

# Of the secrets that this process has fetched.
_fetched: set[str] = set()


def hide(secret: str) -> None:
    """From now on nobody is told the keys and passwords of ``secret``, the JSON object that Secrets Manager holds."""
    fields: Any = json.loads(secret)
    _fetched.update(_secrets_of(fields.items()))


def without_secrets(text: str) -> str:
    """``text`` without the keys and passwords of this process's environment and of the secrets that it has fetched."""
    for value in _fetched | _secrets_of(os.environ.items()):
        text = text.replace(value, "[key]")
    return text


def scrubbed(text: str) -> str:
    """``text`` without what looks like a key, a password or a path, and not for ever."""
    text = without_secrets(text[: 10 * _LONGEST_TEXT])
    for pattern, instead in _SCRUBBED:
        text = pattern.sub(instead, text)
    return text.strip()[:_LONGEST_TEXT].rstrip()


def _secrets_of(variables: Iterable[tuple[str, Any]]) -> set[str]:
    return {
        value
        for name, value in variables
        if isinstance(value, str)
        and len(value) >= _SHORTEST_SECRET
        and not value.isdigit()
        and _SECRET_NAME.search(name)
        and not _NO_SECRET_NAME.search(name)
    }
