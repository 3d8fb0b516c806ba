"""What the agent's loop does beside the event loop."""

import threading
from types import SimpleNamespace
from typing import Any

from functions.runner.thread_manager import ThreadManager


async def test_what_tools_cost_is_counted_beside_the_loop_and_once() -> None:
    counted_on: list[threading.Thread] = []

    def tool_tokens(model: str) -> int:
        assert model == "openai/model"
        counted_on.append(threading.current_thread())
        return 7

    async def build(_claim: Any, *, extra_tokens: int, **_: Any) -> Any:
        assert extra_tokens == 7
        return SimpleNamespace(near_budget=False, left_out=0)

    parts: dict[str, Any] = {
        "_claim": None,
        "_agent": SimpleNamespace(
            config=SimpleNamespace(model="openai/model", enable_context_manager=True),
            system_prompt=None,
            tool_tokens=tool_tokens,
        ),
        "_context_manager": SimpleNamespace(build=build),
        "_tool_tokens": None,
        "_told_left_out": False,
    }
    manager: Any = object.__new__(ThreadManager)
    for name, part in parts.items():
        setattr(manager, name, part)
    for _ in range(2):
        await manager._context()
    assert len(counted_on) == 1
    assert counted_on[0] is not threading.current_thread()
