"""How much of what there is was tried, with everybody and in every state."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import product

from tests.security.credentials import UNKNOWN

READERS = ("stranger", "former owner", "deleted account", "made private", "revoked", "expired")
STATES = ("live", "old", "made again")
ANOTHER, READING = "another account", "who may only read"
_MOMENTS = [f"{reader}, {state}" for reader, state in product(READERS, STATES)]
# Whom each thing has to be tried with. Who is nobody is not even connected, and so has no command heard.
CELLS: dict[str, frozenset[str]] = {
    "routes": frozenset({*UNKNOWN, ANOTHER, READING, *_MOMENTS}),
    "not_built": frozenset({*UNKNOWN, ANOTHER, READING, *_MOMENTS}),
    "commands": frozenset({ANOTHER, READING, *_MOMENTS}),
    "fields": frozenset({ANOTHER}),
}

type Trial = tuple[str, str, str]
"""What kind of thing was tried (a key of ``CELLS``), which one, with whom."""


def line(passed: Iterable[Trial], there: Mapping[str, Collection[str]]) -> dict[str, str | int]:
    """What ``make security`` says before its last line: of ``there`` those that were tried in every cell.

    Readers and states count where all that there is was tried with them.
    """
    tried: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for kind, name, cell in passed:
        tried[kind, name].add(cell)
    whole = {kind: sum(tried[kind, name] >= CELLS[kind] for name in names) for kind, names in there.items()}
    everywhere = [
        moment
        for moment in _MOMENTS
        if all(moment in tried[kind, name] for kind, names in there.items() if moment in CELLS[kind] for name in names)
    ]
    return {
        **{kind: f"{whole[kind]} of {len(names)}" for kind, names in there.items() if kind != "not_built"},
        # They are there to say that there is no such thing here: no defence of anything.
        "not_built": whole.get("not_built", 0),
        "readers": sum(all(f"{reader}, {state}" in everywhere for state in STATES) for reader in READERS),
        "states": sum(all(f"{reader}, {state}" in everywhere for reader in READERS) for state in STATES),
    }
