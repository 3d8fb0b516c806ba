"""Every variable of the user's that a start reads, and what becomes of another value while the stack runs already.

What is not in this table is not read: neither from the environment nor from ``.env``, and no child gets it.
"""

import re
from collections.abc import Mapping
from typing import Literal

# "applied": the running stack is given it. "refused": it cannot be, and the command ends with that. "told": the servers
# keep what they were started with, which is said. "machine": it is for what this command starts, whatever runs already;
# "command": for the command itself.
type Then = Literal["applied", "refused", "told", "machine", "command"]

NAMES: Mapping[str, Then] = {
    **dict.fromkeys(("MODEL", "MODEL_PRICES", "MCP_ALLOWED_PRIVATE", "WEBHOOK_ALLOWED_PRIVATE"), "applied"),
    **dict.fromkeys(("PORT", "DATABASE_URL", "REDIS_URL"), "refused"),
    **dict.fromkeys(("TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"), "told"),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"), "told"),
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "no_proxy"), "told"),
    **dict.fromkeys(("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TERM", "XDG_CACHE_HOME"), "machine"),
    **dict.fromkeys(("MSG", "SUNA_LOCAL_DIR", "SUNA_NO_DOTENV", "NO_COLOR", "COLUMNS", "COLORTERM"), "command"),
}
PROVIDER = re.compile(r"[A-Z][A-Z0-9_]*_(API_KEY|API_BASE|API_VERSION|BASE_URL)|(HF|HUGGINGFACE)_TOKEN")
_INSTALLERS = re.compile(r"(UV|PIP)_.*")


def then(name: str) -> Then | None:
    """What becomes of another value of the variable; ``None``: it is not read."""
    if PROVIDER.fullmatch(name):
        return "applied"
    return "machine" if _INSTALLERS.fullmatch(name) else NAMES.get(name)


def only(variables: Mapping[str, str], *kinds: Then) -> dict[str, str]:
    """Those of ``variables`` that are of one of the ``kinds``."""
    return {name: value for name, value in variables.items() if then(name) in kinds}
