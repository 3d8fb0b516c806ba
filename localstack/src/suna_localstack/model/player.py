"""Plays a turn: tokens at their rate, pauses, tool calls, broken connections."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from suna_localstack.model.calls import CallRecord
from suna_localstack.model.script import Calls, Cut, Pause, Text, Turn
from suna_localstack.model.wire import ChunkWriter, call_id, count_tokens, tool_call

_BATCH = 64  # tokens a write when no rate is asked for


class ConnectionCut(Exception):
    """The script breaks the connection here."""


async def paced(text: Text) -> AsyncIterator[str]:
    """Tokens at their rate; each is due at its own time after the first, so that small delays do not add up."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    source = (f"token{number} " for number in itertools.count(1)) if text.endless else iter(text.tokens)
    for index, token in enumerate(source):
        if text.rate > 0:
            wait = start + index / text.rate - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
        elif index % _BATCH == 0:
            await asyncio.sleep(0)
        yield token


async def pause(seconds: float | None) -> None:
    """Wait; ``None`` waits until the handler is cancelled because the client went away."""
    if seconds is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(seconds)


async def play_stream(
    turn: Turn,
    writer: ChunkWriter,
    record: CallRecord,
    write: Callable[[bytes], Awaitable[None]],
    *,
    prompt_tokens: int,
    include_usage: bool,
) -> None:
    """Write the turn as server-sent events.

    Raises:
        ConnectionCut: the script says that the connection breaks.
    """
    await write(writer.role())
    index = 0
    for step in turn.steps:
        match step:
            case Text():
                async for token in paced(step):
                    await write(writer.token(step.kind, token))
                    record.saw_token()
            case Calls():
                for call in step.calls:
                    for chunk in writer.tool_calls(index, call_id(), call):
                        await write(chunk)
                    record.saw_token(count_tokens(call.arguments))
                    index += 1
            case Pause():
                await pause(step.seconds)
            case Cut():
                raise ConnectionCut
    await write(writer.finish(turn.finish_reason))
    if include_usage:
        await write(writer.usage(prompt_tokens, record.tokens))
    await write(writer.done())


async def play_whole(turn: Turn, writer: ChunkWriter, record: CallRecord, *, prompt_tokens: int) -> dict[str, Any]:
    """The turn as one answer; it takes as long as the stream would.

    Raises:
        ConnectionCut: the script says that the connection breaks.
    """
    texts: dict[str, list[str]] = {}
    calls: list[dict[str, Any]] = []
    for step in turn.steps:
        match step:
            case Text():
                async for token in paced(step):
                    texts.setdefault(step.kind, []).append(token)
                    record.saw_token()
            case Calls():
                for call in step.calls:
                    entry = tool_call(len(calls), call_id(), call)
                    entry.pop("index")
                    calls.append(entry)
                    record.saw_token(count_tokens(call.arguments))
            case Pause():
                await pause(step.seconds)
            case Cut():
                raise ConnectionCut
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts.pop("content", [])) or None}
    message |= {kind: "".join(tokens) for kind, tokens in texts.items()}
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None and "refusal" not in message:
        message["content"] = ""
    return writer.whole(message, turn.finish_reason, prompt_tokens, record.tokens)
