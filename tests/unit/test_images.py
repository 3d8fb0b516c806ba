"""Messages are looked through for images beside the loop: how much there is in them is a tenant's choice."""

import threading
from typing import Any

import pytest

from functions.runner import images
from functions.runner.images import Images
from shared.domain import Json
from tests.unit.claims import new_claim


async def test_blocks_are_walked_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[bool] = []
    names_address = images._names_address

    def noted(block: Json) -> bool:
        walked.append(threading.current_thread() is threading.main_thread())
        return names_address(block)

    monkeypatch.setattr(images, "_names_address", noted)
    blocks: list[Json] = [
        {"type": "b", "x": [[0]] * 10},
        {"type": "b", "source": {"url": "https://example.com/a.pdf"}},
        {"type": "text", "text": "hello"},
    ]
    messages: list[Json] = [{"role": "user", "content": "hello"}, {"role": "user", "content": blocks}]
    shown: list[Any] = await Images(new_claim()).shown(messages)
    assert walked == [False] * len(blocks)
    assert shown[0] == messages[0]
    assert [block["type"] for block in shown[1]["content"]] == ["b", "text", "text"]
    assert shown[1]["content"][0] == blocks[0]
    assert "example.com" not in shown[1]["content"][1]["text"]
