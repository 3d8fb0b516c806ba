"""Where a server differs from the oracle, and which of it is explained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.oracle.seen import Seen

type Calls = Mapping[tuple[str, str], Seen]


# What our stream of a run says at its end; theirs ends with its body.
_END = "end"


@dataclass(frozen=True)
class Difference:
    """``what``: one line, for example ``status 404, theirs status 422``; ``cases``: in which it was seen."""

    method: str
    what: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        cases = ", ".join(case for case in self.cases if case)
        return f"{self.method}{f' ({cases})' if cases else ''}: {self.what}"


@dataclass(frozen=True)
class Explained:
    """A difference that stays. ``*`` stands for anything, in all parts but the reason."""

    method: str
    what: str
    reason: str
    case: str = "*"

    def covers(self, difference: Difference) -> bool:
        """Whether the difference is this one, in all cases in which it was seen."""
        return (
            _is(difference.method, self.method)
            and _is(difference.what, self.what)
            and all(_is(case, self.case) for case in difference.cases)
        )


def _is(word: str, pattern: str) -> bool:
    return fnmatchcase(word, pattern.replace("[", "[[]"))


def differences(ours: Calls, theirs: Calls) -> list[Difference]:
    """Where ours lacks what theirs has, or has it otherwise; what ours has beside is no difference."""
    cases: dict[tuple[str, str], list[str]] = {}
    for method, case in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get((method, case)), theirs.get((method, case))
        if mine is None or other is None:
            cases.setdefault((method, f"not called on {'ours' if mine is None else 'theirs'}"), []).append(case)
            continue
        for what in _of_call(mine, other):
            cases.setdefault((method, what), []).append(case)
    return [Difference(method, what, tuple(seen)) for (method, what), seen in cases.items()]


def _of_call(mine: Seen, other: Seen) -> Iterator[str]:
    if (mine.status, mine.error) != (other.status, other.error):
        yield f"{_outcome(mine)}, theirs {_outcome(other)}"
    for header in other.headers:
        if header not in mine.headers:
            yield f"lacks the header {header}"
    order = mine.order
    if order[-1:] == (_END,) != other.order[-1:]:
        order = order[:-1]
        yield f"ends with the event {_END}"
    if order != other.order:
        yield f"order {' '.join(order)}, theirs {' '.join(other.order)}"
    if mine.error is None and other.error is None:
        yield from _of_fields(mine.fields, other.fields)


def _outcome(seen: Seen) -> str:
    if seen.error is None or seen.error == str(seen.status):
        return f"status {seen.status}"
    return f"status {seen.status} and {seen.error}"


def _of_fields(mine: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    lacking: list[str] = []
    for path, kind in other.items():
        if any(path.startswith((f"{above}.", f"{above}[")) for above in lacking):
            continue
        if path not in mine:
            lacking.append(path)
            yield f"lacks {path}"
        elif mine[path] != kind:
            yield f"{path} is {mine[path]}, theirs {kind}"
