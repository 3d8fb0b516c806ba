"""What a subscription wants of the events, and what it costs to find out."""

import json
from typing import Any
from uuid import uuid4

import pytest

from shared import events
from shared.events import Logged
from shared.stream.filters import wanted
from tests.unit.watching import a_filter


def _logged(*, namespace: list[str], name: str = "notes") -> Logged:
    event = events.number(events.custom(uuid4(), name, {}), generation=uuid4(), seq=1)
    frame = json.loads(event.frame)
    frame["params"]["namespace"] = namespace
    return Logged(seq=1, channel="custom", frame=json.dumps(frame))


@pytest.mark.parametrize(
    ("prefixes", "depth", "namespace", "is_wanted"),
    [
        (((),), None, [], True),
        (((),), None, ["a", "b"], True),
        (((),), 1, ["a", "b"], False),
        ((("a",),), None, [], False),
        ((("a",),), 0, ["a"], True),
        ((("a",),), 0, ["a", "b"], False),
        ((("a",), ("b",)), 1, ["b", "c"], True),
        ((("a", "b"),), None, ["a"], False),
        ((("a", "b"),), None, ["b", "a", "b"], False),
    ],
)
def test_a_namespace_is_wanted_by_its_beginning(
    prefixes: Any, depth: int | None, namespace: list[str], is_wanted: bool
) -> None:
    one = a_filter("custom", namespaces=prefixes, depth=depth)
    assert one.matches(_logged(namespace=namespace)) == is_wanted


def test_custom_events_are_wanted_by_their_name() -> None:
    assert a_filter("custom:notes").matches(_logged(namespace=[]))
    assert not a_filter("custom:note").matches(_logged(namespace=[]))


def test_an_event_is_read_once_however_many_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    event = _logged(namespace=[])
    read: list[str] = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text: read.append(text) or loads(text))
    nowhere = [a_filter("custom", "custom:x", namespaces=(("nowhere",),)) for _ in range(32)]
    by_name = [a_filter(f"custom:{number}") for number in range(32)]
    assert not any(wanted([*nowhere, *by_name], event) for _ in range(100))
    assert read == [event.frame]
