"""Which messages a model is given, and which of them whole. Pure: sizes in, choices out.

A *group* is a message and the results (type "tool") that follow it; it is given as a whole or not at all. In this
order, the first that fits the budget:

1. the messages of the running run whole, older ones compressed;
2. the newest group whole, all others compressed;
3. the same without the oldest groups; the question that the run was started with stays, wherever it stands.

If not even the question and the newest group fit, they are given compressed, and the provider has the last word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.database.context import Row


@dataclass(frozen=True)
class Plan:
    """``given``: rows in their order, ``True`` for those given whole. ``fits``: nothing had to be left out."""

    given: Sequence[tuple[Row, bool]]
    tokens: int
    fits: bool


def groups_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows, oldest first, by group."""
    groups: list[list[Row]] = []
    for row in rows:
        if row.type == "tool" and groups:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def size(row: Row, *, whole: bool) -> int:
    """Tokens of a row that has been counted."""
    tokens = row.full if whole else row.compressed
    if tokens is None:
        raise ValueError(f"message {str(row.message_id)!r} has not been counted")
    return tokens


def compressed_size(rows: Sequence[Row]) -> int:
    """Tokens of rows in their compressed form."""
    return _tokens([(row, False) for row in rows])


def plan(
    rows: Sequence[Row], *, question: Sequence[Row] = (), allowance: int, complete: bool, note_tokens: int = 0
) -> Plan:
    """Choose.

    Args:
        rows: counted, oldest first: the newest messages, as far back as they were read.
        question: the messages that the run was started with, as far as they are older than ``rows``.
        allowance: tokens that they may have together.
        complete: ``rows`` are all there are; otherwise the older ones, which were not read, would not fit.
        note_tokens: kept free for a note that something is left out, if it is.
    """
    everything = [*question, *rows]
    groups = groups_of(rows)
    if not groups:
        given = [(row, False) for row in everything]
        return Plan(given, _tokens(given), fits=True)
    newest = set(row.message_id for row in groups[-1])
    if complete:
        own_whole = [(row, row.own or row.message_id in newest) for row in everything]
        newest_whole = [(row, row.message_id in newest) for row in everything]
        for given in (own_whole, newest_whole):
            if (tokens := _tokens(given)) <= allowance:
                return Plan(given, tokens, fits=True)
    return _leave_out(groups, question=question, allowance=allowance - note_tokens)


def _leave_out(groups: list[list[Row]], *, question: Sequence[Row], allowance: int) -> Plan:
    *older, newest = groups
    asked = [*question, *(row for group in older for row in group if row.own and row.type == "user")]
    pinned = {row.message_id for row in asked}
    least = compressed_size(asked)
    newest_whole = least + _tokens([(row, True) for row in newest]) <= allowance
    left = allowance - least - _tokens([(row, newest_whole) for row in newest])
    kept: list[list[Row]] = []
    for group in reversed(older):
        free = [row for row in group if row.message_id not in pinned]
        left -= compressed_size(free)
        if left < 0:
            break
        kept.append(free)
    kept = _from_a_question(kept[::-1])
    # What is pinned has its place among the others, and may be older than all of them.
    old = sorted([*asked, *(row for group in kept for row in group)], key=lambda row: row.place)
    given = [*((row, False) for row in old), *((row, newest_whole) for row in newest)]
    return Plan(given, _tokens(given), fits=False)


def _from_a_question(groups: list[list[Row]]) -> list[list[Row]]:
    """Without the answers at the beginning whose question is left out, unless there is nothing but answers."""
    for place, group in enumerate(groups):
        if not group or group[0].type == "user" or group[0].own:
            return groups[place:]
    return groups


def _tokens(given: Sequence[tuple[Row, bool]]) -> int:
    return sum(size(row, whole=whole) for row, whole in given)
