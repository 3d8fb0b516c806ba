"""From a model's chunks to content blocks: what is streamed to clients, and the message that is kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from shared.domain import Json
from shared.stream import events
from shared.stream.publisher import DeltaKind, Publisher


@dataclass
class Block:
    """A content block of the message that is being received. Blocks of one message never interleave."""

    index: int
    kind: DeltaKind
    text: str = ""

    def content(self, *, empty: bool = False) -> Json:
        """The block on the wire."""
        return {"type": self.kind, self.kind: "" if empty else self.text}


@dataclass
class Response:
    """What the model said."""

    blocks: list[Block] = field(default_factory=list[Block])
    finish_reason: str | None = None
    usage: Json | None = None

    def text(self, kind: Literal["text", "reasoning"] = "text") -> str:
        """All of one kind."""
        return "".join(block.text for block in self.blocks if block.kind == kind)


class ResponseProcessor:
    """Streams one response of the model."""

    def __init__(self, publisher: Publisher, *, agent_run_id: UUID) -> None:
        self._publisher = publisher
        self._run_id = agent_run_id

    async def process(self, chunks: AsyncIterator[Any]) -> Response:
        """Publish the chunks as they come; returns the whole response. Raises what the stream raises."""
        response = Response()
        async for chunk in chunks:
            usage = getattr(chunk, "usage", None)
            if usage is not None:
                response.usage = _usage(usage)
            for choice in chunk.choices[:1]:
                await self._more(response, "reasoning", getattr(choice.delta, "reasoning_content", None))
                await self._more(response, "text", choice.delta.content)
                response.finish_reason = choice.finish_reason or response.finish_reason
        await self._finish_block(response)
        return response

    async def _more(self, response: Response, kind: DeltaKind, text: str | None) -> None:
        if not text:
            return
        if not response.blocks or response.blocks[-1].kind != kind:
            await self._finish_block(response)
            block = Block(len(response.blocks), kind)
            response.blocks.append(block)
            await self._publisher.publish(events.block_start(self._run_id, block.index, block.content(empty=True)))
        response.blocks[-1].text += text
        self._publisher.delta(response.blocks[-1].index, kind, text)

    async def _finish_block(self, response: Response) -> None:
        if response.blocks:
            block = response.blocks[-1]
            await self._publisher.publish(events.block_finish(self._run_id, block.index, block.content()))


def _usage(usage: Any) -> Json:
    """Token counts as the protocol names them."""
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
