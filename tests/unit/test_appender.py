"""The appender: numbers, facts, and what is declared when the log has lost something."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from shared import events
from shared.domain import Claim
from shared.errors import EventLogUnavailableError, LeaseLostError
from shared.events import TO_ALL, Logged
from shared.stream import appender as appending
from shared.stream.appender import Appender
from tests.unit.stream_log import MemoryLog, Reservations


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryLog:
    memory = MemoryLog()
    memory.patch(monkeypatch)
    monkeypatch.setattr(appending, "_AWAY_S", 0.0)
    return memory


def _appender(claim: Claim, memory: MemoryLog) -> Appender:
    return Appender(claim, reserve=Reservations(reserved=claim.reserved_seq, size=1000), prove=memory.prove)


@pytest.fixture
def appender(claim: Claim, memory: MemoryLog) -> Appender:
    return _appender(claim, memory)


async def _append(appender: Appender, *names: str) -> list[Logged]:
    await appender.reserve(len(names))
    return await appender.append([appender.number(events.custom(uuid4(), name, {})) for name in names])


def _told(entries: list[Logged]) -> list[Any]:
    """What each entry says, as far as these tests ask."""
    said: list[Any] = []
    for entry in entries:
        frame = json.loads(entry.frame)
        data = frame["params"]["data"]
        match frame["method"], data:
            case "custom", {"name": "gap", "payload": {"from": first, "to": last}}:
                said.append((entry.seq, "gap", first, last))
            case "values", _:
                said.append((entry.seq, "values"))
            case "messages", _:
                said.append((entry.seq, data["event"]))
            case _:
                said.append((entry.seq, data["name"]))
    return said


async def test_what_redis_missed_is_declared_with_a_snapshot(appender: Appender, memory: MemoryLog) -> None:
    await _append(appender, "a")
    memory.failures = [EventLogUnavailableError(), EventLogUnavailableError()]
    await _append(appender, "b")
    await _append(appender, "c")
    await _append(appender, "d")
    # The numbers of a declaration that Redis missed are missing too.
    assert _told(memory.logged) == [(1, "a"), (6, "d"), (7, "gap", 2, 5), (8, "values")]
    assert [entry.channel for entry in memory.logged[-2:]] == [TO_ALL, TO_ALL]
    assert "from the database" in memory.logged[-1].frame


async def test_an_append_whose_reply_was_lost_is_neither_a_gap_nor_a_repeat(
    appender: Appender, memory: MemoryLog
) -> None:
    await _append(appender, "a")
    memory.after = [EventLogUnavailableError()]
    await _append(appender, "b")
    await _append(appender, "c")
    assert _told(memory.logged) == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_flushed_log_begins_again_with_what_is_missing(appender: Appender, memory: MemoryLog) -> None:
    await _append(appender, "a", "b")
    memory.lose()
    await _append(appender, "c")
    assert _told(memory.logged) == [(3, "c"), (4, "gap", 1, 2), (5, "values")]
    await _append(appender, "d")
    assert _told(memory.logged)[-1] == (6, "d")


async def test_a_failover_that_lost_the_end_is_declared(appender: Appender, memory: MemoryLog) -> None:
    await _append(appender, "a", "b", "c")
    memory.lose(2)
    await _append(appender, "d")
    assert _told(memory.logged) == [(1, "a"), (4, "d"), (5, "gap", 2, 3), (6, "values")]


async def test_whoever_finds_no_fence_and_has_an_old_epoch_is_out(
    appender: Appender, memory: MemoryLog, claim: Claim
) -> None:
    await _append(appender, "a")
    memory.lose()
    memory.newest_epoch = claim.epoch + 1
    with pytest.raises(LeaseLostError):
        await _append(appender, "b")
    assert memory.logged == []


async def test_a_takeover_closes_the_message_that_was_left_open(memory: MemoryLog, claim: Claim) -> None:
    # GIVEN a holder that died in the middle of an answer
    first = _appender(claim, memory)
    start = events.message_start(claim.agent_run_id, uuid4(), metadata={})
    await first.append([first.number(start), first.number(events.block_start(claim.agent_run_id, 0, {}))])
    # WHEN the next one begins after everything that was reserved
    second = _appender(replace(claim, epoch=2, last_seq=1000, reserved_seq=2000), memory)
    await _append(second, "go on")
    # THEN subscribers hear of the message's end, of the numbers that were never used, and how the thread stands
    assert _told(memory.logged)[2:] == [
        (1001, "go on"),
        (1002, "error"),
        (1003, "gap", 3, 1000),
        (1004, "values"),
    ]
    with pytest.raises(LeaseLostError):
        await _append(first, "a zombie")


async def test_facts_are_numbered_in_their_order_and_noted_when_they_are_logged(
    appender: Appender, memory: MemoryLog
) -> None:
    await _append(appender, "a")
    memory.waiting = [events.custom(uuid4(), name, {}) for name in ("first", "second")]
    await appender.take_facts()
    await _append(appender, "b")
    assert _told(memory.logged) == [(1, "a"), (2, "first"), (3, "second"), (4, "b")]
    assert memory.noted == []
    await appender.note_logged()
    assert memory.noted == [2, 3]


async def test_facts_stay_owed_with_their_numbers_while_redis_is_away(appender: Appender, memory: MemoryLog) -> None:
    await _append(appender, "a")
    memory.waiting = [events.custom(uuid4(), "fact", {})]
    await appender.take_facts()
    memory.failures = [EventLogUnavailableError()]
    told = await _append(appender, "b")
    # Subscribers get it at once, and once.
    assert [event.seq for event in told] == [2, 3]
    assert not appender.complete
    told = await _append(appender, "c")
    assert _told(told) == [(4, "c"), (5, "gap", 3, 3), (6, "values")]
    assert _told(memory.logged) == [(1, "a"), (2, "fact"), (4, "c"), (5, "gap", 3, 3), (6, "values")]
    assert appender.complete


async def test_a_fact_that_a_dead_holder_has_numbered_is_logged_under_that_number(
    memory: MemoryLog, claim: Claim
) -> None:
    # GIVEN an end that was committed with number 2 and never appended
    first = _appender(claim, memory)
    await _append(first, "a")
    memory.waiting = [events.custom(uuid4(), "the end", {})]
    await first.take_facts()
    # WHEN the next holder owes it
    second = _appender(replace(claim, epoch=2, last_seq=2, reserved_seq=1002), memory)
    second._owe(list(first._owed.values()))
    await second.append([])
    # THEN it stands where it was to stand, and nothing is missing
    assert _told(memory.logged) == [(1, "a"), (2, "the end")]


async def test_a_fact_numbered_before_a_block_that_nobody_used_leaves_no_undeclared_hole(
    memory: MemoryLog, claim: Claim
) -> None:
    # GIVEN an end that was committed with number 2, and a log that was lost with everything before it
    first = _appender(claim, memory)
    await _append(first, "a")
    memory.waiting = [events.custom(uuid4(), "the end", {})]
    await first.take_facts()
    memory.lose()
    # WHEN the holder after the next one owes it: the next one has reserved numbers, and died
    third = _appender(replace(claim, epoch=3, last_seq=1002, reserved_seq=2002), memory)
    third._owe(list(first._owed.values()))
    await third.append([])
    await _append(third, "b")
    # THEN every number that is not there is declared
    assert _told(memory.logged) == [(2, "the end"), (1003, "gap", 1, 1002), (1004, "values"), (1005, "b")]
