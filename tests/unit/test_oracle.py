"""The comparison with the oracle: what it sees as a difference, and that the table of differences is documented."""

import pytest

from tests.oracle.compare import Explained, differences
from tests.oracle.explained import DOCUMENT, EXPLAINED, documented
from tests.oracle.seen import Seen, shape, together

CALL = ("runs.get", "")


def _difference(ours: Seen, theirs: Seen) -> list[str]:
    return [str(difference) for difference in differences({CALL: ours}, {CALL: theirs})]


def test_the_same_is_no_difference_and_neither_is_more() -> None:
    theirs = Seen(status=200, fields=shape({"status": "success"}), headers=("location",))
    assert _difference(theirs, theirs) == []
    more = Seen(status=200, fields=shape({"status": "success", "more": 1}), headers=("location", "content-location"))
    assert _difference(more, theirs) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "what"),
    [
        (Seen(status=200), Seen(status=404, error="404"), "status 200, theirs status 404"),
        (Seen(fields=shape({})), Seen(fields=shape({"a": {"b": 1}})), "lacks .a"),
        (Seen(fields=shape({"a": "1"})), Seen(fields=shape({"a": 1})), ".a is string, theirs number"),
        (
            Seen(fields=shape({"status": "idle"})),
            Seen(fields=shape({"status": "busy"})),
            ".status is 'idle', theirs 'busy'",
        ),
        (Seen(fields=shape([1])), Seen(fields=shape([])), " is list of 1, theirs list of 0"),
        (Seen(order=("a", "b")), Seen(order=("b", "a")), "order a b, theirs b a"),
        (Seen(order=("a", "end")), Seen(order=("a",)), "ends with the event end"),
        (Seen(), Seen(headers=("location",)), "lacks the header location"),
    ],
)
def test_a_difference_is_told(ours: Seen, theirs: Seen, what: str) -> None:
    assert _difference(ours, theirs) == [f"runs.get: {what}"]


def test_a_call_that_only_one_of_them_got_is_a_difference() -> None:
    [difference] = differences({}, {CALL: Seen()})
    assert difference.what == "not called on ours"


def test_an_explanation_covers_all_cases_or_none() -> None:
    [difference] = differences(
        {("runs.get", case): Seen(status=200) for case in ("a", "b")},
        {("runs.get", case): Seen(status=404) for case in ("a", "b")},
    )
    assert difference.cases == ("a", "b")
    assert Explained("runs.*", "status 200, *", "why").covers(difference)
    assert not Explained("runs.*", "status 200, *", "why", "a").covers(difference)
    assert not Explained("threads.*", "status 200, *", "why").covers(difference)
    assert not Explained("runs.*", "status 201, *", "why").covers(difference)


def test_a_shape_has_types_words_and_kinds_of_messages() -> None:
    value = {
        "status": "idle",
        "items": [{"type": "ai", "content": "x"}, None],
        "6fc9bd4e-1f6c-4b3d-9f6b-0a63a3b8a001": 1,
    }
    assert shape(value) == {
        "": "object",
        ".status": "'idle'",
        ".items": "list of 2",
        ".items[ai]": "object",
        ".items[ai].type": "'ai'",
        ".items[ai].content": "string",
        ".items[]": "null",
        ".<id>": "number",
    }
    assert together(["a", "a", "b", "a"]) == ("a", "b", "a")


def test_the_differences_that_stay_are_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert documented(text) == text, "run `python -m tests.oracle.explained`"
    assert all(one.reason for one in EXPLAINED)
