"""``python -m clients.terminal``: chat with the running stack; ``--once`` asks one question and ends."""

import argparse
import asyncio
import sys

import httpx
from rich.console import Console
from rich.text import Text
from websockets.exceptions import WebSocketException

from clients.terminal.chat import Chat
from clients.terminal.conversation import Conversation, RefusedError
from clients.terminal.rendering import Screen
from clients.terminal.stack import NoStackError, Stack


async def ask_once(question: str, console: Console, thread_id: str | None, *, assistant: str | None) -> int:
    """One question, one answer; the exit code says whether the run completed."""
    async with Conversation(Stack.running(), thread_id, assistant=assistant) as conversation:
        console.print(Text.assemble(("You: ", "bold"), question))
        answer = await Screen(console).show(conversation.follow(await conversation.ask(question)))
    for wanted in answer.wanted:
        console.print(Text(f"The agent waits for an answer: {wanted.question}", style="yellow"))
    return 0 if answer.error is None else 1


def main() -> int:
    """Parse the arguments, run, and turn what can go wrong into one line."""
    parser = argparse.ArgumentParser(prog="python -m clients.terminal", description=__doc__)
    parser.add_argument("--once", metavar="MESSAGE", help="ask one question, print the answer, end")
    parser.add_argument("--thread", metavar="UUID", help="go on with an existing thread")
    parser.add_argument("--assistant", metavar="ID", help="who answers (default: as before in the thread)")
    arguments = parser.parse_args()
    console = Console()
    try:
        if arguments.once is not None:
            return asyncio.run(ask_once(arguments.once, console, arguments.thread, assistant=arguments.assistant))
        asyncio.run(Chat(Stack.running(), console, assistant=arguments.assistant).run(arguments.thread))
    except NoStackError as error:
        console.print(Text(str(error), style="red"))
    except RefusedError as error:
        console.print(Text(f"The service refused: {error}", style="red"))
    except (OSError, WebSocketException, httpx.HTTPError) as error:
        console.print(Text(f"The stack is out of reach ({error!r}): see 'make status' and 'make logs'", style="red"))
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
