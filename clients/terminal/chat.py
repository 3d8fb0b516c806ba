"""A conversation in the terminal, until Ctrl-D."""

import asyncio
import os
import signal
import sys
import termios
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from clients.terminal.conversation import Conversation, RefusedError
from clients.terminal.rendering import Answer, Screen, Wanted
from clients.terminal.stack import Stack

HELP = """\
/threads      your threads, the newest first
/open N       go on with the Nth of them (or with a thread's id)
/new          a new thread
/help         this
Ctrl-C        stops the run that is going on
Ctrl-D        ends the chat; a run goes on without it"""

_ROLES = {"human": "You", "ai": "Agent"}
_YES = {"y": True, "yes": True, "n": False, "no": False}


class Chat:
    """What is typed, and what comes of it."""

    def __init__(self, stack: Stack, console: Console, *, assistant: str | None) -> None:
        """``assistant``: who answers, as for :class:`Conversation`."""
        self._stack = stack
        self._console = console
        self._assistant = assistant
        self._prompt: PromptSession[str] = PromptSession(history=FileHistory(str(stack.history_file)))
        self._listed: list[str] = []

    async def run(self, thread_id: str | None) -> None:
        """Have conversations until there is no more input; ``thread_id``: the first one's thread."""
        with suppress(EOFError), _ctrl_d_kept():
            while True:
                async with Conversation(self._stack, thread_id, assistant=self._assistant) as conversation:
                    await self._open(conversation, is_new=thread_id is None)
                    thread_id = await self._converse(conversation)

    async def _open(self, conversation: Conversation, *, is_new: bool) -> None:
        hint = "Type a message, or /help." if is_new else f"Thread {conversation.thread_id}."
        self._console.print(Text(hint, style="dim"))
        if is_new:
            return
        for message in await conversation.messages():
            self._show_past(message)
        if (run_id := await conversation.unfinished()) is not None:
            await self._until_idle(conversation, run_id)
        else:
            waiting = [Wanted.of(one["id"], one["value"]) for one in await conversation.waiting()]
            await self._after(conversation, waiting)

    def _show_past(self, message: dict[str, Any]) -> None:
        role = _ROLES.get(message["type"])
        if role is None or not (text := _text(message["content"])):
            return
        self._console.print(Text(role, style="bold"))
        self._console.print(Markdown(text))

    async def _converse(self, conversation: Conversation) -> str | None:
        """Ask and answer until another thread is wanted: its id, or None for a new one. Raises EOFError at the end."""
        while True:
            text = (await self._ask("> ")).strip()
            match text.split():
                case []:
                    pass
                case ["/new"]:
                    return None
                case ["/open", which]:
                    wanted = self._listed[int(which) - 1] if self._is_listed(which) else which
                    if await self._exists(wanted):
                        return wanted
                case ["/threads"]:
                    await self._list(conversation)
                case [word, *_] if word.startswith("/"):
                    self._console.print(Text(HELP, style="dim"))
                case _:
                    with self._refusals():
                        await self._until_idle(conversation, await conversation.ask(text))

    async def _until_idle(self, conversation: Conversation, run_id: str) -> None:
        answer = await self._watch(conversation, run_id)
        await self._after(conversation, answer.wanted)

    async def _after(self, conversation: Conversation, wanted: list[Wanted]) -> None:
        """Have answered what the agent waits for, and what it asks then."""
        while wanted:
            if (answers := await self._answers(wanted)) is None:
                return
            answer = await self._watch(conversation, await conversation.answer(answers))
            wanted = answer.wanted

    async def _answers(self, wanted: list[Wanted]) -> dict[str, Any] | str | None:
        """What is typed for each; None if nothing was: the thread goes on waiting."""
        approvals: dict[str, Any] = {}
        for one in wanted:
            if one.tool is None:
                self._console.print(Text(one.question, style="bold yellow"))
                return (await self._ask("answer: ")).strip() or None
            self._console.print(Text.assemble(("May it execute ", "yellow"), (one.question, "bold"), ("?", "yellow")))
            while (verdict := _YES.get((await self._ask("yes or no: ")).strip().lower())) is None:
                pass
            approvals[one.interrupt_id] = verdict
        return approvals

    async def _watch(self, conversation: Conversation, run_id: str) -> Answer:
        """Show a run to its end; Ctrl-C stops it, and the program goes on."""
        screen = Screen(self._console)

        def told(reason: str | None) -> None:
            screen.note = reason and f"connection lost ({reason}), connecting again"

        conversation.on_state(told)
        stopping: set[asyncio.Task[None]] = set()

        async def stop() -> None:
            try:
                await conversation.stop(run_id)
            except RefusedError as error:
                screen.note = str(error)

        def interrupted() -> None:
            screen.note = "stopping"
            stopping.add(asyncio.create_task(stop()))

        with _on_interrupt(interrupted):
            answer = await screen.show(conversation.follow(run_id))
        await asyncio.gather(*stopping)
        return answer

    async def _ask(self, what: str) -> str:
        """A line of input; Ctrl-C clears it."""
        while True:
            with suppress(KeyboardInterrupt), patch_stdout():
                return await self._prompt.prompt_async(what)

    async def _list(self, conversation: Conversation) -> None:
        threads = await conversation.recent()
        self._listed = [thread["thread_id"] for thread in threads]
        for number, thread in enumerate(threads, 1):
            title = (thread.get("metadata") or {}).get("title") or thread["thread_id"]
            self._console.print(Text(f"{number:3}  {thread['updated_at'][:16]}  {thread['status']:11} {title}"))

    def _is_listed(self, which: str) -> bool:
        return which.isdecimal() and 1 <= int(which) <= len(self._listed)

    async def _exists(self, thread_id: str) -> bool:
        with self._refusals():
            async with Conversation(self._stack, thread_id):
                return True
        return False

    @contextmanager
    def _refusals(self) -> Generator[None]:
        """A refusal is told, and the chat goes on."""
        try:
            yield
        except RefusedError as error:
            self._console.print(Text(f"The service refused: {error}", style="red"))


@contextmanager
def _ctrl_d_kept() -> Generator[None]:
    """Keep a Ctrl-D that is typed before there is a prompt to take it.

    Between prompts the terminal is in its line mode, which swallows the key as an end of input that nobody reads.
    """
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before, changed = termios.tcgetattr(terminal), termios.tcgetattr(terminal)
    changed[6][termios.VEOF] = bytes([os.fpathconf(terminal, "PC_VDISABLE")])
    termios.tcsetattr(terminal, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


@contextmanager
def _on_interrupt(act: Any) -> Generator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, act)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        # asyncio.run's own handler is put back by nobody else.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _text(content: Any) -> str:
    match content:
        case str(text):
            return text
        case [*blocks]:
            return "\n".join(_text(block) for block in blocks)
        case {"type": "text", "text": str(text)}:
            return text
        case {"content": inner}:
            return _text(inner)
        case _:
            return ""
