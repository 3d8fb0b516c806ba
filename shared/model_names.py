"""Names of models: what one may be."""

import re

# Some providers have the name in the address that is asked: nothing in it may be more than a name there.
_NAME = re.compile(r"[A-Za-z0-9._:/@+~-]+")
_NO_PART = frozenset({"", ".", ".."})


def is_model_name(name: str) -> bool:
    """Whether it is letters, digits and ``._:@+~-`` between slashes, and no part of it empty, ``.`` or ``..``."""
    return _NAME.fullmatch(name) is not None and _NO_PART.isdisjoint(name.split("/"))
