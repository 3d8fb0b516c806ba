"""An answer as it streams: markdown in a terminal, plain text anywhere else."""

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text


@dataclass
class Answer:
    """What came of a run."""

    text: str = ""
    first_token_s: float | None = None
    seconds: float = 0.0
    output_tokens: int | None = None
    error: str | None = None

    def summary(self) -> str:
        """One line: how long, how fast, how much."""
        parts = [f"{self.seconds:.1f} s"]
        if self.first_token_s is not None:
            parts.insert(0, f"first token after {self.first_token_s * 1000:.0f} ms")
        if self.output_tokens is not None:
            parts.append(f"{self.output_tokens} tokens")
        return ", ".join(parts)


async def show(events: AsyncGenerator[dict[str, Any]], console: Console) -> Answer:
    """Show a run's events as they come; returns what came of it."""
    answer = Answer()
    begun = time.perf_counter()
    if not console.is_terminal:
        async for delta in _deltas(events, answer, begun):
            console.out(delta, end="", highlight=False)
        console.out("")
    else:
        with Live(Spinner("dots", "waiting for the agent"), console=console, refresh_per_second=12) as live:
            async for _ in _deltas(events, answer, begun):
                elapsed = Text(f"{time.perf_counter() - begun:.1f} s", style="dim")
                live.update(Group(Markdown(answer.text), elapsed))
            live.update(Markdown(answer.text))
    if answer.error is not None:
        console.print(Text(f"The run failed: {answer.error}", style="red"))
    console.print(Text(answer.summary(), style="dim"))
    return answer


async def _deltas(events: AsyncGenerator[dict[str, Any]], answer: Answer, begun: float) -> AsyncGenerator[str]:
    """The text as it comes; fills ``answer`` in."""
    async for event in events:
        data = event["params"]["data"]
        match event["method"], data.get("event"):
            case "messages", "content-block-delta" if data["delta"]["type"] == "text-delta":
                if answer.first_token_s is None:
                    answer.first_token_s = time.perf_counter() - begun
                answer.text += data["delta"]["text"]
                yield data["delta"]["text"]
            case "messages", "message-finish":
                answer.output_tokens = data.get("usage", {}).get("output_tokens")
            case "lifecycle", "failed":
                answer.error = data.get("error", "no reason was given")
            case _:
                pass
    answer.seconds = time.perf_counter() - begun
