"""What holds of the publisher whatever is published, however fast, before whatever log."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared import events
from shared.stream.appender import Appender
from shared.stream.publisher import Publisher
from tests.unit.claims import new_claim
from tests.unit.stream_log import MemoryLog, Reservations, stopped_clock, text_by_block


@dataclass(frozen=True)
class Delta:
    """More of the open block."""

    text: str


@dataclass(frozen=True)
class NextBlock:
    """The open block ends, another one begins. Blocks of one message never interleave."""


@dataclass(frozen=True)
class Custom:
    """Any other event."""


@dataclass(frozen=True)
class Wait:
    """Time passes, and the writer gets its turn."""

    seconds: float


STEPS = st.lists(
    st.one_of(
        st.builds(Delta, st.text(min_size=1, max_size=30) | st.just("long " * 4_000)),
        st.just(NextBlock()),
        st.just(Custom()),
        st.builds(Wait, st.sampled_from([0.0, 0.03, 0.1, 0.5])),
    ),
    max_size=60,
)


@given(steps=STEPS, reserved=st.integers(0, 20))
@hypothesis_settings(max_examples=60, deadline=None)
async def test_text_order_and_numbers_are_kept(steps: list[Delta | NextBlock | Custom | Wait], reserved: int) -> None:
    claim = new_claim(reserved_seq=reserved)
    memory = MemoryLog()
    expected_text: dict[int, str] = {}
    expected_order: list[str] = []
    block = 0
    with pytest.MonkeyPatch.context() as patch, stopped_clock() as clock:
        memory.patch(patch)
        appender = Appender(claim, reserve=Reservations(reserved=reserved, size=7), prove=memory.prove)
        publisher = Publisher(
            appender,
            memory,  # type: ignore[arg-type]
            run_id=claim.agent_run_id,
            on_lost=lambda: None,
        )
        publisher.start()
        for place, step in enumerate(steps):
            match step:
                case Delta(text):
                    publisher.delta(block, "text", text)
                    expected_text[block] = expected_text.get(block, "") + text
                    expected_order.append(f"block {block}")
                case NextBlock():
                    block += 1
                    await publisher.publish(events.block_start(claim.agent_run_id, block, {"type": "text"}))
                    expected_order.append(f"start {block}")
                case Custom():
                    await publisher.publish(events.custom(claim.agent_run_id, str(place), {}))
                    expected_order.append(str(place))
                case Wait(seconds):
                    await clock.advance(seconds)
        await publisher.drain()
        await publisher.close()

    data = [json.loads(entry.frame)["params"]["data"] for entry in memory.logged]
    assert text_by_block(data) == expected_text
    assert _without_repeats([_name(event) for event in data]) == _without_repeats(expected_order)
    assert [entry.seq for entry in memory.logged] == list(range(1, len(memory.logged) + 1))
    assert [json.loads(entry.frame)["seq"] for entry in memory.logged] == [entry.seq for entry in memory.logged]
    assert appender.last_seq == len(memory.logged)


def _name(data: dict[str, object]) -> str:
    match data.get("event"):
        case "content-block-delta":
            return f"block {data['index']}"
        case "content-block-start":
            return f"start {data['index']}"
        case _:
            return str(data["name"])


def _without_repeats(names: list[str]) -> list[str]:
    """Deltas that follow one another may be merged, or cut."""
    return [name for place, name in enumerate(names) if place == 0 or name != names[place - 1]]
