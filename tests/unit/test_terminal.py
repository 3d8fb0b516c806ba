"""What the terminal makes of a run's events, and of their absence."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from langgraph_sdk.stream.transport import ProtocolWebSocketTransport
from rich.console import Console
from websockets.asyncio.server import ServerConnection, serve

from clients.terminal.conversation import EventStream
from clients.terminal.rendering import Answer, Call, Said, Screen, Wanted, whole_blocks
from tests.ports import free_port

type Frame = dict[str, Any]


def _event(method: str, **data: Any) -> Frame:
    return {"type": "event", "method": method, "params": {"namespace": [], "data": data}}


def _text(text: str) -> Frame:
    return _event("messages", event="content-block-delta", index=0, delta={"type": "text-delta", "text": text})


USED = _event("messages", event="message-finish", usage={"input_tokens": 3, "output_tokens": 2})
TOLD = [
    _text("Let me "),
    _text("see."),
    USED,
    _event("tools", event="tool-started", tool_call_id="c1", tool_name="look", input={"at": "it"}),
    _event("tools", event="tool-started", tool_call_id="c2", tool_name="listen", input={}),
    _event("tools", event="tool-error", tool_call_id="c2", message="it is silent"),
    _event("tools", event="tool-finished", tool_call_id="c1", output="a cat"),
    _text("A cat."),
    USED,
]
DONE = _event("lifecycle", event="completed")


def _answer(events: list[Frame]) -> Answer:
    answer = Answer()
    for event in events:
        answer.take(event)
    return answer


def test_text_and_calls_are_in_order_and_tokens_are_summed() -> None:
    answer = _answer([*TOLD, DONE])
    said, look, listen, more = answer.parts
    assert isinstance(said, Said)
    assert said.text == "Let me see."
    assert isinstance(look, Call)
    assert (look.name, look.status, look.told) == ("look", "done", "a cat")
    assert isinstance(listen, Call)
    assert (listen.status, listen.told) == ("failed", "it is silent")
    assert isinstance(more, Said)
    assert more.is_whole
    assert (answer.input_tokens, answer.output_tokens, answer.error) == (6, 4, None)
    assert answer.text == "Let me see.A cat."


def test_a_count_of_ours_is_told_from_the_providers() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "estimated": True}
    estimated = _answer([_text("Hel"), _event("messages", event="message-finish", usage=usage)])
    assert "about 3 tokens read, 2 written" in estimated.summary()
    assert "about" not in _answer(TOLD).summary()


def test_a_call_that_the_run_leaves_open_has_failed() -> None:
    answer = _answer([*TOLD[:4], _event("lifecycle", event="failed", error="stop: by the user")])
    assert isinstance(call := answer.parts[-1], Call)
    assert call.status == "failed"
    assert answer.was_stopped


def test_a_message_that_is_given_up_is_followed_by_another() -> None:
    events = [_text("Hel"), _event("messages", event="error", message="broken"), _text("Hello")]
    assert [part.text for part in _answer(events).parts if isinstance(part, Said)] == ["Hel", "*(begun anew)*", "Hello"]
    assert not _answer([*events[:2], _event("lifecycle", event="failed", error="model_down")]).was_stopped


@pytest.mark.parametrize(
    ("payload", "tool", "question"),
    [
        ({"type": "approval", "tool": "launch", "arguments": {"to": "mars"}}, "launch", 'launch {"to": "mars"}'),
        ({"type": "question", "arguments": {"text": "Which?"}}, None, "Which?"),
        ({"truncated": "{"}, None, "null"),
    ],
)
def test_what_the_agent_waits_for(payload: dict[str, Any], tool: str | None, question: str) -> None:
    [wanted] = _answer([_event("input.requested", interrupt_id="i1", payload=payload)]).wanted
    assert wanted == Wanted("i1", tool, payload.get("arguments"))
    assert wanted.question == question


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("one", ""),
        ("one\n\ntwo", "one\n\n"),
        ("one\n\n```py\na\n\nb", "one\n\n"),
        ("```py\na\n\nb", ""),
        ("one\n\n```py\na\n\nb\n```\n\nlast", "one\n\n```py\na\n\nb\n```\n\n"),
    ],
)
def test_text_is_cut_between_blocks(text: str, whole: str) -> None:
    assert whole_blocks(text) == (whole, text.removeprefix(whole))


@pytest.mark.parametrize("is_terminal", [True, False])
async def test_all_of_it_is_shown_once(*, is_terminal: bool) -> None:
    async def events() -> AsyncGenerator[Frame]:
        for event in [_text("First.\n\nSec"), _text("ond.\n\n"), *TOLD, DONE]:
            yield event

    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=80, color_system=None)
    await Screen(console).show(events())
    shown = out.getvalue()
    assert shown.rindex("First.") < shown.rindex("Second.") < shown.rindex("look") < shown.rindex("A cat.")
    assert is_terminal or shown.count("A cat.") == 1  # a terminal's lines are drawn, erased and drawn again
    assert "6 tokens read, 4 written" in shown


async def _plain_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{closed}", "connection refused"),
        ("https://127.0.0.1:{plain}", "SSL"),
    ],
)
async def test_why_there_is_no_connection_is_told_in_plain_words(url: str, reason: str) -> None:
    told: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    async with await asyncio.start_server(_plain_http, "127.0.0.1", 0) as plain:
        where = url.format(closed=free_port(), plain=plain.sockets[0].getsockname()[1])
        async with httpx.AsyncClient(base_url=where) as http:
            stream = EventStream(ProtocolWebSocketTransport(client=http, thread_id="t", headers={}))
            stream.on_state = told.set_result
            following = asyncio.ensure_future(anext(stream.of("r")))
            assert reason in str(await asyncio.wait_for(told, 10))
            following.cancel()


class _Service:
    """Answers each subscription of a thread as it is told to, in turn, and keeps what was asked."""

    def __init__(self, *answers: tuple[str, list[tuple[str, int]]]) -> None:
        """``answers``: the answer's type, and the events behind it, by log and number."""
        self._answers = list(answers)
        self.asked: list[int | None] = []

    async def __call__(self, socket: ServerConnection) -> None:
        command = json.loads(await socket.recv())
        self.asked.append(command["params"].get("since"))
        kind, told = self._answers.pop(0)
        await socket.send(json.dumps({"type": kind, "id": 1, "error": "invalid_argument", "message": "no"}))
        for log, seq in told:
            event = _event("custom", log=log, seq=seq) | {"event_id": f"{log}:{seq}", "seq": seq}
            event["params"]["run_id"] = "r"
            await socket.send(json.dumps(event))


async def _told(service: _Service, count: int) -> list[tuple[str, int]]:
    """The first events that a client is told of, over as many connections as it takes."""
    async with serve(service, "127.0.0.1", 0) as server:
        [listening] = server.sockets
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}") as http:
            transport = ProtocolWebSocketTransport(client=http, thread_id="t", headers={})
            events = EventStream(transport).of("r")
            async with asyncio.timeout(10):
                told = [await anext(events) for _ in range(count)]
            await events.aclose()
            await transport.close()
    return [(event["params"]["data"]["log"], event["params"]["data"]["seq"]) for event in told]


async def test_a_thread_that_was_made_again_is_told_from_its_beginning() -> None:
    before, after = [("before", seq) for seq in (1, 2, 3)], [("after", seq) for seq in (1, 2, 3, 4)]
    service = _Service(
        ("success", before),
        # The number means another event by now.
        ("success", after[3:]),
        ("success", after),
    )
    assert await _told(service, 7) == before + after
    assert service.asked == [None, 3, 0]


async def test_a_number_that_is_none_any_more_is_given_up() -> None:
    before, after = [("before", seq) for seq in (1, 2, 3)], [("after", 1)]
    service = _Service(("success", before), ("error", []), ("success", after))
    assert await _told(service, 4) == before + after
    assert service.asked == [None, 3, 0]
