"""From a model's chunks to content blocks and tool calls: what clients see at once, and what is kept."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from functions.runner.calls.model import ToolCall
from functions.runner.calls.native import NativeCalls
from functions.runner.calls.xml import XmlCalls
from shared import events
from shared.agent_config import ProcessorConfig
from shared.domain import Json
from shared.storable import storable_text
from shared.stream.publisher import DeltaKind, Publisher

# Characters of a malformed call that clients are shown; the model is told what is wrong with it.
_LONGEST_RAW = 5_000

CUT_AT_CALLS = "xml_tool_limit"


@dataclass
class Response:
    """What the model has said, so far.

    ``text`` is the answer as the model wrote it, XML calls included; ``calls`` in the order of their completion.
    """

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    finish_reason: str | None = None
    # What the provider has counted, as its last chunk tells it.
    reported: Any = None
    # Whatever has come, as it came: also what is not kept.
    received: list[str] = field(default_factory=list[str])

    @property
    def empty(self) -> bool:
        """Whether there is nothing to keep."""
        return not self.text.strip() and not self.calls

    def content(self, *, text_end: int | None = None) -> Json:
        """The message as the model is given it, with the text up to ``text_end``."""
        content: Json = {"role": "assistant", "content": self.text[:text_end] or None}
        native = [call for call in self.calls if call.form == "native"]
        if native:
            content["tool_calls"] = [call.message_form() for call in native]
        return content


@dataclass
class _Block:
    index: int
    kind: DeltaKind
    text: str = ""


class ResponseProcessor:
    """Streams one response of the model. ``on_call`` is awaited for each call as soon as it is complete."""

    def __init__(
        self,
        config: ProcessorConfig,
        publisher: Publisher,
        *,
        agent_run_id: UUID,
        message_id: UUID,
        schema_of: Callable[[str], Json | None],
        on_call: Callable[[Response, ToolCall], Awaitable[None]],
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._run_id = agent_run_id
        self._on_call = on_call
        self._native = NativeCalls(str(message_id))
        self._xml = XmlCalls(str(message_id), schema_of) if config.xml_tool_calling else None
        self._block: _Block | None = None
        self._blocks = 0
        self.response = Response()

    async def process(self, chunks: AsyncIterator[Any]) -> Response:
        """Publish the chunks as they come; returns the whole response. Raises what the stream raises."""
        response = self.response
        async for chunk in chunks:
            if (usage := getattr(chunk, "usage", None)) is not None:
                response.reported = usage
            for choice in chunk.choices[:1]:
                response.finish_reason = choice.finish_reason or response.finish_reason
                response.received += _texts(choice.delta)
                await self._reasoning(getattr(choice.delta, "reasoning_content", None))
                await self._text(choice.delta.content)
                await self._tool_calls(choice.delta.tool_calls)
            if self._calls_exhausted():
                response.finish_reason = CUT_AT_CALLS
                break
        await self._finish()
        return response

    async def close(self) -> None:
        """Publish the end of an open block: the response is cut off, but what there is of it stands."""
        await self._finish_block()

    async def _reasoning(self, text: str | None) -> None:
        if text:
            text = storable_text(text)
            self.response.reasoning += text
            await self._show("reasoning", text)

    async def _text(self, text: str | None) -> None:
        if not text:
            return
        text = storable_text(text)
        self.response.text += text
        if self._xml is None:
            await self._show("text", text)
            return
        await self._shown_and_called(*self._xml.feed(text))

    async def _tool_calls(self, deltas: list[Any] | None) -> None:
        if deltas and self._config.native_tool_calling:
            for call in self._native.feed(deltas):
                await self._call(call)

    async def _finish(self) -> None:
        if self._xml is not None and self.response.finish_reason != CUT_AT_CALLS:
            await self._shown_and_called(*self._xml.finish(cut_off=self.response.finish_reason == "length"))
        for call in self._native.finish(cut_off=self.response.finish_reason == "length"):
            await self._call(call)
        await self._finish_block()

    async def _shown_and_called(self, visible: str, calls: list[ToolCall]) -> None:
        await self._show("text", visible)
        for call in calls:
            await self._call(call)

    def _calls_exhausted(self) -> bool:
        most = self._config.max_xml_tool_calls
        return 0 < most <= sum(call.form == "xml" for call in self.response.calls)

    async def _call(self, call: ToolCall) -> None:
        if self._calls_exhausted() and call.form == "xml":
            return
        await self._finish_block()
        chunk: Json = {"type": "tool_call_chunk", "id": call.call_id, "name": call.name, "args": ""}
        await self._publisher.publish(events.block_start(self._run_id, self._blocks, chunk))
        await self._publisher.publish(events.block_finish(self._run_id, self._blocks, _wire_call(call)))
        self._blocks += 1
        self.response.calls.append(call)
        await self._on_call(self.response, call)

    async def _show(self, kind: DeltaKind, text: str) -> None:
        if not text:
            return
        if self._block is None or self._block.kind != kind:
            await self._finish_block()
            self._block = _Block(self._blocks, kind)
            self._blocks += 1
            await self._publisher.publish(events.block_start(self._run_id, self._block.index, {"type": kind, kind: ""}))
        self._block.text += text
        self._publisher.delta(self._block.index, kind, text)

    async def _finish_block(self) -> None:
        if self._block is not None:
            block, self._block = self._block, None
            content: Json = {"type": block.kind, block.kind: block.text}
            await self._publisher.publish(events.block_finish(self._run_id, block.index, content))


def _texts(delta: Any) -> list[str]:
    """All that the model has written in a chunk: words, thoughts, pieces of calls."""
    calls: list[Any] = delta.tool_calls or []
    functions: list[Any] = [call.function for call in calls if call.function is not None]
    pieces: list[str | None] = [getattr(delta, "reasoning_content", None), delta.content]
    pieces += [piece for function in functions for piece in (function.name, function.arguments)]
    return [piece for piece in pieces if piece]


def _wire_call(call: ToolCall) -> Json:
    if call.problem is None:
        return {
            "type": "tool_call",
            "id": call.call_id,
            "name": call.name,
            "args": events.fitting(call.arguments or {}),
        }
    return {
        "type": "invalid_tool_call",
        "id": call.call_id,
        "name": call.name,
        "args": call.raw[:_LONGEST_RAW],
        "error": call.problem,
    }
