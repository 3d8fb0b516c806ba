"""An answer as it streams: markdown and tool calls in a terminal, plain text anywhere else."""

import json
import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.spinner import Spinner
from rich.text import Text

type Frame = dict[str, Any]

STOPPED = frozenset({"stop", "stopped", "interrupt", "rollback"})
_LONGEST_SHOWN = 100
_FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)
_MARKS = {"running": "◌", "waiting": "?", "done": "✓", "failed": "✗"}
_COLOURS = {"running": "cyan", "waiting": "yellow", "done": "green", "failed": "red"}


@dataclass
class Said:
    """Text of the agent, so far."""

    text: str = ""
    is_whole: bool = False


@dataclass
class Call:
    """A tool call. ``seconds``: how long it took, once it has ended."""

    call_id: str
    name: str
    arguments: Any
    status: str = "running"
    told: str = ""
    begun: float = field(default_factory=time.perf_counter)
    seconds: float | None = None


@dataclass(frozen=True)
class Wanted:
    """What the agent waits for: whether a call may be executed (``tool``), or the answer to a question."""

    interrupt_id: str
    tool: str | None
    arguments: Any

    @classmethod
    def of(cls, interrupt_id: str, value: dict[str, Any]) -> "Wanted":
        """From ``input.requested``, or from a thread's state."""
        tool = value.get("tool") if value.get("type") == "approval" else None
        return cls(interrupt_id, tool, value.get("arguments"))

    @property
    def question(self) -> str:
        """What to ask."""
        if self.tool is not None:
            return f"{self.tool} {_short(self.arguments)}"
        match self.arguments:
            case {"text": str(text)} | {"question": str(text)}:
                return text
            case other:
                return _short(other)


@dataclass
class Answer:
    """What came of a run. ``is_abandoned``: the last message was given up; the model may begin anew.

    ``is_estimated``: a provider has not told its count, and ours stands for it.
    """

    parts: list[Said | Call] = field(default_factory=list[Said | Call])
    wanted: list[Wanted] = field(default_factory=list[Wanted])
    first_token_s: float | None = None
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    is_estimated: bool = False
    error: str | None = None
    is_abandoned: bool = False
    begun: float = field(default_factory=time.perf_counter)

    @property
    def text(self) -> str:
        """All that the agent has said."""
        return "".join(part.text for part in self.parts if isinstance(part, Said))

    def summary(self) -> str:
        """One line: how long, how fast, how much."""
        parts = [f"{self.seconds:.1f} s"]
        if self.first_token_s is not None:
            parts.insert(0, f"first token after {self.first_token_s * 1000:.0f} ms")
        if self.output_tokens:
            about = "about " if self.is_estimated else ""
            parts.append(f"{about}{self.input_tokens} tokens read, {self.output_tokens} written")
        return ", ".join(parts)

    def take(self, event: Frame) -> str:
        """Go on with an event of the run; the text that it adds."""
        self.seconds = time.perf_counter() - self.begun
        data = event["params"]["data"]
        match event["method"], data.get("event"):
            case "messages", "content-block-delta" if data["delta"]["type"] == "text-delta":
                return self._say(data["delta"]["text"])
            case "messages", "content-block-finish" | "message-finish" | "error":
                self._end_message(data)
            case "tools", "tool-started":
                self._end_text()
                self.parts.append(Call(data["tool_call_id"], data["tool_name"], data.get("input")))
            case "tools", "tool-finished":
                self._end_call(data["tool_call_id"], "done", _short(data.get("output")))
            case "tools", "tool-error":
                self._end_call(data["tool_call_id"], "failed", str(data.get("message")))
            case "input.requested", _:
                self.wanted.append(Wanted.of(data["interrupt_id"], data["payload"]))
            case "lifecycle", "completed" | "failed" | "interrupted":
                self._end(data)
            case _:
                pass
        return ""

    def _say(self, text: str) -> str:
        if self.first_token_s is None:
            self.first_token_s = time.perf_counter() - self.begun
        if self.is_abandoned:
            self.is_abandoned = False
            self.parts.append(Said("*(begun anew)*", is_whole=True))
        last = self.parts[-1] if self.parts else None
        if not isinstance(last, Said) or last.is_whole:
            last = Said()
            self.parts.append(last)
        last.text += text
        return text

    def _end_message(self, data: dict[str, Any]) -> None:
        self._end_text()
        usage = data.get("usage") or {}
        self.input_tokens += usage.get("input_tokens", 0)
        self.output_tokens += usage.get("output_tokens", 0)
        self.is_estimated |= bool(usage.get("estimated"))
        self.is_abandoned = data["event"] == "error"

    def _end_text(self) -> None:
        if self.parts and isinstance(last := self.parts[-1], Said):
            last.is_whole = True

    def _end_call(self, call_id: str, status: str, told: str) -> None:
        for part in self.parts:
            if isinstance(part, Call) and part.call_id == call_id:
                part.status, part.told, part.seconds = status, told, time.perf_counter() - part.begun

    def _end(self, data: dict[str, Any]) -> None:
        self._end_text()
        for part in self.parts:
            if isinstance(part, Call) and part.status == "running":
                part.status, part.told = "failed", "the run ended before it did"
        if data["event"] == "failed":
            self.error = str(data.get("error") or "no reason was given")

    @property
    def was_stopped(self) -> bool:
        """Whether somebody had it end."""
        return self.error is not None and self.error.split(":", 1)[0] in STOPPED


class Screen:
    """Where an answer is shown. What is whole is printed for good; the rest is drawn anew as it grows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed = 0
        self._live: Live | None = None
        self.note: str | None = None

    async def show(self, events: AsyncGenerator[Frame]) -> Answer:
        """Show a run's events as they come; returns what came of it."""
        answer = Answer()
        if self._console.is_terminal:
            await self._drawn(events, answer)
        else:
            await self._plain(events, answer)
        if answer.was_stopped:
            self._console.print(Text("Stopped.", style="yellow"))
        elif answer.error is not None:
            self._console.print(Text(f"The run failed: {answer.error}", style="red"))
        self._console.print(Text(answer.summary(), style="dim"))
        return answer

    async def _plain(self, events: AsyncGenerator[Frame], answer: Answer) -> None:
        async for event in events:
            known = len(answer.parts)
            self._console.out(answer.take(event), end="", highlight=False)
            for part in answer.parts[known:]:
                if isinstance(part, Call):
                    self._console.out(f"\n[{part.name} {_short(part.arguments)}]", highlight=False)
        self._console.out("")

    async def _drawn(self, events: AsyncGenerator[Frame], answer: Answer) -> None:
        self._printed = 0

        def drawn() -> RenderableType:
            return Group(*(_drawn_part(part) for part in answer.parts[self._printed :]), self._status(answer))

        with Live(get_renderable=drawn, console=self._console, refresh_per_second=12, transient=True) as self._live:
            async for event in events:
                answer.take(event)
                self._settle(answer)
            self._settle(answer)

    def _settle(self, answer: Answer) -> None:
        """Print what does not change any more, in order."""
        while self._printed < len(answer.parts):
            part = answer.parts[self._printed]
            if isinstance(part, Said) and not part.is_whole:
                whole, part.text = whole_blocks(part.text)
                if whole:
                    answer.parts.insert(self._printed, Said(whole, is_whole=True))
                    continue
                return
            if isinstance(part, Call) and part.status == "running":
                return
            self._console.print(_drawn_part(part))
            self._printed += 1

    def _status(self, answer: Answer) -> RenderableType:
        told = f"{time.perf_counter() - answer.begun:.1f} s"
        if answer.output_tokens:
            told += f" · {answer.output_tokens} tokens"
        return Spinner("dots", Text(f"{told} · {self.note or 'Ctrl-C stops the run'}", style="dim"))


def _drawn_part(part: Said | Call) -> RenderableType:
    if isinstance(part, Said):
        return Markdown(part.text)
    colour = _COLOURS[part.status]
    seconds = time.perf_counter() - part.begun if part.seconds is None else part.seconds
    line = Text.assemble((f"{_MARKS[part.status]} ", colour), (part.name, "bold"), f" {_short(part.arguments)} ")
    line.append(f"{seconds:.1f} s", style="dim")
    if not part.told:
        return line
    return Group(line, Padding(Text(_cut(part.told), style="dim" if part.status == "done" else "red"), (0, 0, 0, 2)))


def whole_blocks(text: str) -> tuple[str, str]:
    """``text`` before its last empty line that is in no fence, and the rest."""
    at = text.rfind("\n\n")
    while at > 0 and len(_FENCE.findall(text[:at])) % 2:
        at = text.rfind("\n\n", 0, at)
    return (text[: at + 2], text[at + 2 :]) if at > 0 else ("", text)


def _short(value: Any) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SHOWN else f"{line[: _LONGEST_SHOWN - 1]}…"
