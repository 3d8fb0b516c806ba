"""Which messages are given: any thread, any budget."""

from itertools import accumulate
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from shared.context.plan import Plan, compressed_size, groups_of, plan, size
from shared.database.context import Row

RUN = 7


def row(kind: str, place: tuple[int, int], *, full: int = 10, compressed: int | None = None) -> Row:
    """A counted row; those of run 7 are the running run's."""
    return Row(
        message_id=uuid4(),
        type=kind,  # type: ignore[arg-type]
        place=place,
        own=place[0] == RUN,
        full=full,
        compressed=full if compressed is None else compressed,
    )


@st.composite
def threads(draw: st.DrawFn) -> list[Row]:
    """Rows, oldest first: earlier runs and the running one, each a question and groups of answers and results."""
    rows: list[Row] = []
    for number in draw(st.lists(st.integers(1, RUN), max_size=5, unique=True).map(sorted)):
        kinds = ["user"] * draw(st.integers(0, 2)) + draw(
            st.lists(st.sampled_from(["assistant", "tool", "tool", "user", "system"]), max_size=8)
        )
        for position, kind in enumerate(kinds):
            full = draw(st.integers(4, 400))
            rows.append(row(kind, (number, position), full=full, compressed=draw(st.integers(4, full))))
    return rows


def _ids(rows: list[Row]) -> set[object]:
    return {one.message_id for one in rows}


def _least(rows: list[Row]) -> list[Row]:
    """What is given whatever the budget: the question of the running run, and the newest group."""
    *older, newest = groups_of(rows)
    return [one for group in older for one in group if one.own and one.type == "user"] + newest


def _check(rows: list[Row], chosen: Plan, allowance: int) -> None:
    kept = [one for one, _ in chosen.given]
    given_ids = _ids(kept)
    assert [one.place for one in kept] == sorted(one.place for one in kept)
    assert len(given_ids) == len(kept)
    assert chosen.tokens == sum(size(one, whole=whole) for one, whole in chosen.given)
    least = _least(rows)
    assert _ids(least) <= given_ids
    assert chosen.tokens <= max(allowance, compressed_size(least))
    pinned = _ids(least) - _ids(groups_of(rows)[-1])
    for group in groups_of(rows):
        free = _ids(group) - pinned
        assert free <= given_ids or not free & given_ids
    # What is left out is older than all that is not, but for the question.
    left_out = [one.place for one in rows if one.message_id not in given_ids]
    others = [one.place for one in kept if one.message_id not in pinned]
    assert not left_out or max(left_out) < min(others)


@given(rows=threads().filter(bool), allowance=st.integers(0, 4000))
def test_any_thread_in_any_budget(rows: list[Row], allowance: int) -> None:
    chosen = plan(rows, allowance=allowance, complete=True)
    _check(rows, chosen, allowance)
    newest = groups_of(rows)[-1]
    forms = {one.message_id: whole for one, whole in chosen.given}
    wholes = sum(size(one, whole=True) for one in newest)
    if wholes + compressed_size([one for one in _least(rows) if one not in newest]) <= allowance:
        assert all(forms[one.message_id] for one in newest)
    if chosen.fits:
        assert len(chosen.given) == len(rows)
    else:
        smallest = compressed_size(rows) - compressed_size(newest) + wholes
        assert smallest > allowance


@given(rows=threads().filter(bool), allowance=st.integers(0, 4000))
def test_a_partial_reading_gives_what_the_whole_thread_would(rows: list[Row], allowance: int) -> None:
    # GIVEN as much as a reader reads: newest first, one more than fits, and never amid the newest group
    sums = list(accumulate(size(one, whole=False) for one in reversed(rows)))
    read = next((place + 1 for place, total in enumerate(sums) if total > allowance), len(rows))
    read = max(read, len(groups_of(rows)[-1]))
    tail = rows[len(rows) - read :]
    if len(tail) == len(rows):
        return
    question = [one for one in rows if one.own and one.type == "user" and one.place < tail[0].place]
    partial = plan(tail, question=question, allowance=allowance, complete=False)
    whole = plan(rows, allowance=allowance, complete=True)
    assert not partial.fits and not whole.fits
    assert [one.message_id for one, _ in partial.given] == [one.message_id for one, _ in whole.given]


def test_the_running_run_is_whole_if_that_fits_and_older_runs_are_not() -> None:
    rows = [row("user", (1, 0), full=900, compressed=100), row("assistant", (1, 1), full=900, compressed=100)]
    rows += [row("user", (RUN, 0), full=900, compressed=100), row("assistant", (RUN, 1), full=900, compressed=100)]
    rows += [row("tool", (RUN, 2), full=900, compressed=100), row("assistant", (RUN, 3), full=50)]
    assert [whole for _, whole in plan(rows, allowance=5000, complete=True).given] == [False, False, *[True] * 4]
    narrow = plan(rows, allowance=600, complete=True)
    assert narrow.fits
    assert [whole for _, whole in narrow.given] == [False] * 5 + [True]


LATER = [(3, 0), (3, 1), (4, 0), (4, 1), (RUN, 0)]


def _places(chosen: Plan) -> list[tuple[int, int]]:
    return [one.place for one, _ in chosen.given]


def test_left_out_are_whole_turns_from_a_question_on() -> None:
    rows = [row(kind, (number, place)) for number in range(1, 5) for place, kind in enumerate(("user", "assistant"))]
    rows.append(row("user", (RUN, 0)))
    # Six more than the newest would fit, but the first of five would be an answer without its question.
    assert _places(plan(rows, allowance=70, complete=True)) == [*[(2, 0), (2, 1)], *LATER]
    assert _places(plan(rows, allowance=60, complete=True)) == LATER


def test_an_empty_thread_fits() -> None:
    assert plan([], allowance=0, complete=True) == Plan([], 0, fits=True)
