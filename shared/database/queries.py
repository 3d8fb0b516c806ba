"""Named queries: SQL stands in ``sql/*.sql``, each statement under a line ``-- name: <name>``."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "sql"
_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(file: str) -> Mapping[str, str]:
    """The statements of ``sql/<file>.sql`` by name.

    Raises:
        ValueError: a name stands twice in the file.
    """
    _, *parts = _HEADER.split((_FOLDER / f"{file}.sql").read_text(encoding="utf-8"))
    names, statements = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"a query name stands twice in {file!r}: {sorted(names)!r}")
    return {name: statement.strip() for name, statement in zip(names, statements, strict=True)}
