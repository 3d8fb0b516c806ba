"""Where the running stack is, and the token to use with it: ``.local/stack.json``."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


class NoStackError(Exception):
    """There is no running stack."""


@dataclass(frozen=True)
class Stack:
    """``base_url`` serves HTTP and WebSocket alike."""

    base_url: str
    token: str

    @classmethod
    def running(cls) -> "Stack":
        """The stack that ``make up`` or ``make run`` has started.

        Raises:
            NoStackError: there is none.
        """
        file = _directory() / "stack.json"
        try:
            fields = json.loads(file.read_text(encoding="utf-8"))
            return cls(base_url=fields["base_url"], token=fields["token"])
        except (OSError, ValueError, KeyError) as error:
            raise NoStackError(f"no stack is running ({file} cannot be read): start one with 'make up'") from error

    @property
    def history_file(self) -> Path:
        """Where the terminal keeps what was typed."""
        return _directory() / "chat-history"

    @property
    def headers(self) -> dict[str, str]:
        """What authenticates a request."""
        return {"authorization": f"Bearer {self.token}"}

    def websocket_url(self, thread_id: str) -> str:
        """The event stream of a thread."""
        return f"ws{self.base_url.removeprefix('http')}/threads/{thread_id}/stream/events"


def _directory() -> Path:
    return Path(os.environ.get("SUNA_LOCAL_DIR", ".local"))
