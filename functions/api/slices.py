"""A run's stream in slices: an API function answers whole bodies, so a stream is what is there and what comes within
20 s, and the client comes back for more with the id of the last event it has.

Ids: an event of the log may become several events of the stream; the last of them has the log's number as its id, the
others ``<number>.<place>``; what a stream begins with has ``<number>+<place>`` of where it begins, and an end that the
log has lost ``<number>~<place>``. So whoever resumes behind any of them misses nothing and gets nothing twice.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from functions.api.limits.waits import Wait
from functions.api.stream_modes import Part, RunMessages, StateAt, StreamModes, Wanted, is_head
from functions.api.wire_state import langchain_message, values
from shared.database import checkpoints, connection, run_ends
from shared.database.run_ends import RunEnd
from shared.domain import AgentRun, Json, ThreadLog
from shared.errors import EventLogUnavailableError, InvalidRequestError, NotFoundError
from shared.events import Logged
from shared.telemetry import logger

SLICE_S = 20.0
# A Lambda answer is 6 MB of JSON at most, with the body as a string in it; a slice ends before what would go over this.
_LARGEST_SLICE_BYTES = 5_000_000
_PAGE = 200
_BLOCK_MS = 1000
# How far back the beginning of a message is looked for.
_LONGEST_MESSAGE_EVENTS = 5_000
_EVENT_ID = re.compile(r"(\d{1,18})(?:([.+~])(\d{1,9}))?", re.ASCII)


type Mark = Literal[".", "+", "~"]
"""What a part is one of: an event of the log, the stream's beginning, or an end that the log has lost."""


@dataclass(frozen=True)
class Cursor:
    """The last event that a client has: part ``part`` of what stands at the log's ``seq``; ``None``: the last one."""

    seq: int
    part: int | None = None
    mark: Mark | None = None

    @classmethod
    def parse(cls, event_id: str) -> "Cursor":
        """The cursor of a ``Last-Event-ID``.

        Raises:
            InvalidRequestError: it is none of ours.
        """
        found = _EVENT_ID.fullmatch(event_id)
        if found is None:
            raise InvalidRequestError(f"Last-Event-ID: {event_id!r} is not the id of an event of this stream")
        seq, mark, part = found.groups()
        return cls(int(seq), int(part) if part else None, cast("Mark | None", mark))

    @property
    def begins(self) -> bool:
        """Whether the client has only a part of what the stream begins with."""
        return self.mark == "+"

    @property
    def after_seq(self) -> int:
        """The number behind which the log has to be read on."""
        return self.seq - 1 if self.mark == "." else self.seq

    def has(self, seq: int, part: int, mark: Mark) -> bool:
        """Whether the client has this part already."""
        return self.part is not None and (seq, mark) == (self.seq, self.mark) and part <= self.part


class _Body:
    """The slice's text. ``is_full``: something did not fit, and comes first in the next slice."""

    def __init__(self, cursor: Cursor | None) -> None:
        self._cursor = cursor
        self._texts: list[str] = []
        self._bytes = 0
        self.is_full = False

    @property
    def events(self) -> int:
        return len(self._texts)

    def add(self, seq: int, parts: list[Part], mark: Mark = ".") -> None:
        for place, part in enumerate(parts, start=1):
            if self._cursor is not None and self._cursor.has(seq, place, mark):
                continue
            event_id = str(seq) if place == len(parts) else f"{seq}{mark}{place}"
            text = f"event: {part.event}\ndata: {_json(part.data)}\nid: {event_id}\n\n"
            size = len(_json(text).encode(errors="replace"))
            # Whatever is alone too large for a slice is sent all the same: there is no other way on.
            if self._texts and self._bytes + size > _LARGEST_SLICE_BYTES:
                self.is_full = True
            if self.is_full:
                return
            self._texts.append(text)
            self._bytes += size

    def text(self) -> str:
        return "".join(self._texts)


class Slice:
    """One slice of one run's stream."""

    def __init__(
        self,
        run: AgentRun,
        log: ThreadLog,
        wait: Wait,
        *,
        modes: frozenset[str],
        last_event_id: str | None,
        begins_after: int = 0,
        slice_s: float = SLICE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``begins_after``: a number of the log before the run's first event, for a stream that is not resumed."""
        self._run = run
        self._log = log
        self._wait = wait
        self._modes = StreamModes(run, modes)
        self._cursor = Cursor.parse(last_event_id) if last_event_id else None
        self._position = begins_after if self._cursor is None else self._cursor.after_seq
        self._seen_own = self._cursor is not None and not self._cursor.begins
        self._clock = clock
        self._ends_at = clock() + slice_s
        self._body = _Body(self._cursor)

    async def text(self) -> str:
        """The slice: server-sent events.

        Raises:
            NotFoundError: the run was deleted meanwhile.
        """
        if self._cursor is None or self._cursor.begins:
            self._body.add(self._position, await self._resolved(self._modes.begin()), "+")
        else:
            await self._recover()
        before = self._body.events
        while not self._modes.ended and not self._body.is_full and await self._more():
            pass
        if self._body.events == before:
            # Clients give up on a stream that has nothing to say; and the next slice begins behind what was read.
            self._body.add(self._position, [self._modes.metadata()])
        return self._body.text()

    async def _recover(self) -> None:
        """Find the message that is open where the stream is resumed: what its next events say depends on it."""
        newest_first: list[Logged] = []
        up_to = self._position
        while self._modes.needs_open_message and up_to > 0 and len(newest_first) < _LONGEST_MESSAGE_EVENTS:
            page = await self._read_back(up_to)
            for event in page:
                newest_first.append(event)
                word = _word(event)
                if word == "message-start":
                    for earlier in reversed(newest_first):
                        self._modes.feed(json.loads(earlier.frame))
                    return
                if word in {"message-finish", "error"}:
                    return
            up_to = page[-1].seq - 1 if page else 0

    async def _more(self) -> bool:
        """Take what there is, or wait for it a moment; whether to go on."""
        page = await self._page()
        if page:
            await self._take_all(page)
            return self._clock() < self._ends_at or len(page) == _PAGE
        end = await self._run_end()
        if end.ended and (end.settled or page is None):
            # What was logged before the run was settled can be read by now.
            page = await self._page(block=False)
            if not page:
                await self._missed_end(end)
                return False
            await self._take_all(page)
            return True
        return self._clock() < self._ends_at

    async def _take_all(self, page: list[Logged]) -> None:
        for event in page:
            await self._take(event)
            if self._modes.ended or self._body.is_full:
                return

    async def _take(self, event: Logged) -> None:
        frame: Json = json.loads(event.frame)
        own = frame["params"].get("run_id") == str(self._run.agent_run_id)
        if self._is_hole_before(event, frame, own=own):
            self._body.add(event.seq - 1, await self._resolved(self._modes.lost()))
        self._seen_own = self._seen_own or own
        self._body.add(event.seq, await self._resolved(self._modes.feed(frame)))
        self._position = event.seq

    def _is_hole_before(self, event: Logged, frame: Json, *, own: bool) -> bool:
        """Whether events are missing that nobody has declared so: the log is bounded, and does not live for ever."""
        if frame["method"] == "custom" and frame["params"]["data"]["name"] == "gap":
            return False
        if self._seen_own:
            return event.seq > self._position + 1
        return own and not is_head(frame)

    async def _missed_end(self, end: RunEnd) -> None:
        """The run has ended, and its end will not come from the log: the client has it already, or it is lost."""
        if self._cursor is not None and self._cursor.part is None and end.ended_seq == self._cursor.seq:
            self._modes.ended = True
            self._body.add(self._cursor.seq, [Part("end", None)])
            return
        failed = end.status not in {"completed", "needs_input"}
        told = end.error or {"code": end.status, "message": f"the run has ended as {end.status}"}
        error = {"error": told["code"], "message": told["message"]} if failed else None
        wanted: list[Wanted] = [RunMessages(), *self._modes.end(error)]
        self._body.add(max(self._position, end.ended_seq or 0), await self._resolved(wanted), "~")

    async def _page(self, *, block: bool = True) -> list[Logged] | None:
        """The next events, as they come if ``block``; ``None`` while the log cannot be read."""
        # Deferred: the event log's client costs a cold start 150 ms, and few requests read a stream.
        from shared.stream import log  # noqa: PLC0415

        left_ms = int((self._ends_at - self._clock()) * 1000)
        try:
            if not block or left_ms <= 0:
                return await log.read(self._log, after_seq=self._position, limit=_PAGE)
            block_ms = min(left_ms, _BLOCK_MS)
            return await self._wait.hold(log.wait(self._log, after_seq=self._position, limit=_PAGE, block_ms=block_ms))
        except EventLogUnavailableError:
            logger.warning("the event log cannot be read", exc_info=True)
            if block:
                await self._wait.hold(asyncio.sleep(min(_BLOCK_MS, max(left_ms, 1)) / 1000))
            return None

    async def _read_back(self, up_to_seq: int) -> list[Logged]:
        from shared.stream import log  # noqa: PLC0415 - deferred as above

        try:
            return await log.read_back(self._log, limit=_PAGE, up_to_seq=up_to_seq)
        except EventLogUnavailableError:
            logger.warning("the event log cannot be read", exc_info=True)
            return []

    async def _run_end(self) -> RunEnd:
        async with connection() as taken:
            return await run_ends.get(taken, agent_run_id=self._run.agent_run_id, account_id=self._run.account_id)

    async def _resolved(self, wanted: list[Wanted]) -> list[Part]:
        """``wanted`` with what it takes from the database."""
        parts: list[Part] = []
        for item in wanted:
            match item:
                case Part():
                    parts.append(item)
                case StateAt():
                    parts += await self._state(item)
                case RunMessages():
                    found = await self._messages()
                    parts += [part for part in self._modes.messages(found) if isinstance(part, Part)]
        return parts

    async def _state(self, wanted: StateAt) -> list[Part]:
        """A state of the thread, up to a message or to the run's end; nothing if the message is hidden by now."""
        run = self._run
        number: int = run.number
        position: int | None = None
        async with connection() as taken:
            if wanted.message_id is not None:
                try:
                    number, position = await checkpoints.place(
                        taken, message_id=wanted.message_id, thread_id=run.thread_id, account_id=run.account_id
                    )
                except NotFoundError:
                    return []
            elif wanted.at == "input":
                position = await checkpoints.last_input(
                    taken, thread_id=run.thread_id, account_id=run.account_id, run_number=number
                )
                number -= position is None
            found = await checkpoints.until(
                taken, thread_id=run.thread_id, account_id=run.account_id, run_number=number, position=position
            )
        return [Part("values", values(found))]

    async def _messages(self) -> list[Json]:
        """What the run has said and been told by tools so far."""
        run = self._run
        async with connection() as taken:
            found = await checkpoints.until(
                taken, thread_id=run.thread_id, account_id=run.account_id, agent_run_id=run.agent_run_id
            )
        return [langchain_message(message) for message in found if message.type in {"assistant", "tool"}]


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def _word(event: Logged) -> str | None:
    """What an event of a message says."""
    return json.loads(event.frame)["params"]["data"]["event"] if event.channel == "messages" else None
