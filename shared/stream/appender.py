"""Numbering and appending: the one writer of a thread's log while it holds the thread's epoch.

Numbers come from blocks that were reserved in PostgreSQL for this epoch. What the log does not have of them is
declared by a gap, after which a snapshot says how the thread stands: there is no hole that nobody was told of, and no
number that meant two things.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from shared import events
from shared.database import facts
from shared.database.facts import Fact
from shared.domain import Json, LogHold
from shared.errors import (
    DatabaseUnavailableError,
    EventLogUnavailableError,
    LeaseLostError,
    OutcomeUnknownError,
)
from shared.events import TO_ALL, Event, Logged
from shared.stream import log
from shared.stream.snapshot import snapshot
from shared.telemetry import logger

# Redis that is away is not asked again for every event.
_AWAY_S = 0.5
# A log may be lost again while its loss is declared.
_TRIES = 5
# Waits between tries for numbers: PostgreSQL may be restarting.
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 1.6
_MOST_FACTS = 100
# Where a dead holder's open message is looked for.
_READ_BACK = 500

# How long a proof counts: less than a lease, within which no thread can be deleted whose run is claimed.
PROOF_S = 5.0

type Reserve = Callable[[LogHold], Awaitable[int]]
"""Reserves one more block: the last number that may be used."""


class Appender:
    """Writes the log under one hold. Its methods are called by one task at a time."""

    def __init__(
        self,
        hold: LogHold,
        *,
        reserve: Reserve,
        prove: Callable[[LogHold], Awaitable[bool]],
        proved_for_s: float = 0.0,
        patience_s: float = 3.0,
    ) -> None:
        """``prove``: whether the hold's epoch is the thread's newest, by PostgreSQL.

        ``proved_for_s``: for how long from now on that is known without asking. ``patience_s``: for how long PostgreSQL
        is asked for numbers before it counts as away.
        """
        self._hold = hold
        self._reserve_block = reserve
        self._prove = prove
        self._patience_s = patience_s
        self._reserved = hold.reserved_seq
        # What the log ends with, as far as is known. It is a guess until the first answer.
        self._logged_seq = hold.last_seq
        # Whoever finds no fence later, or has slept, proves its epoch again: the thread may be gone, with its log.
        self._proved_until = time.monotonic() + proved_for_s
        self._first = True
        self._away_until = 0.0
        # Numbered facts that are not known to be in the log, and those that are, but whose rows do not say so yet.
        self._owed: dict[int, Fact] = {}
        # Facts may have got numbers that nobody here knows; and of those that had one before the hold is not known
        # which the log still lacks. The numbers that follow the hold's are free all the same.
        self._in_doubt = False
        self._owed_unknown = True
        self._unnoted: list[int] = []
        self._told_seq = hold.last_seq
        self.last_seq = hold.last_seq
        # A gap was declared, here or as a fact, since the last snapshot that is known to be complete.
        self._unsettled = False

    @property
    def complete(self) -> bool:
        """Whether the log has everything that was to be appended."""
        return not self._owed and self._logged_seq == self.last_seq

    async def reserve(self, count: int) -> None:
        """See to it that ``count`` more numbers may be used, which no fact has.

        Raises:
            LeaseLostError: the thread has a newer epoch.
            DatabaseUnavailableError: PostgreSQL stays away.
        """
        await self._be_sure()
        await self._see_to(count)

    async def _see_to(self, count: int) -> None:
        while self.last_seq + count > self._reserved:
            self._reserved = await self._patiently(lambda: self._reserve_block(self._hold))

    async def _be_sure(self) -> None:
        """Look up which numbers facts have, if that is not known. Nobody uses the next one, or says which was the last,
        before: what is owed would be behind it, and declared to be lost. Raises as :meth:`reserve`.
        """
        if self._in_doubt or self._owed_unknown:
            await self._patiently(lambda: self._take(most=0))

    async def _patiently[T](self, ask: Callable[[], Awaitable[T]]) -> T:
        """What PostgreSQL answers, which may be restarting. Raises DatabaseUnavailableError: it stays away."""
        loop = asyncio.get_running_loop()
        ends_at, wait_s = loop.time() + self._patience_s, _FIRST_WAIT_S
        while True:
            try:
                return await ask()
            except DatabaseUnavailableError:
                if loop.time() + wait_s > ends_at:
                    raise
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def number(self, event: Event) -> Logged:
        """Give ``event`` the next number, which has been reserved."""
        self.last_seq += 1
        return events.number(event, generation=self._hold.generation, seq=self.last_seq)

    async def take_facts(self) -> None:
        """Number the facts that wait in the database: they go into the log with the next append.

        Raises:
            LeaseLostError: the thread has a newer epoch.
            DatabaseUnavailableError: PostgreSQL is away.
        """
        await self.note_logged()
        taken: Sequence[Fact] | None = None
        while taken is None or len(taken) == _MOST_FACTS:
            if self._in_doubt:
                await self._be_sure()
            # The first of a hold needs no look before it: it is one itself.
            await self._see_to(_MOST_FACTS)
            taken = await self._take(most=_MOST_FACTS)

    async def _take(self, *, most: int) -> Sequence[Fact]:
        """Number so many facts more, and be owed all that have a number."""
        in_hand = [*self._owed, *self._unnoted]
        try:
            taken = await facts.take(self._hold, last_seq=self.last_seq, most=most, in_hand=in_hand)
        except OutcomeUnknownError:
            self._in_doubt = True
            raise
        self._in_doubt = self._owed_unknown = False
        self._owe(taken)
        return taken

    def close(self, taken: Sequence[Fact]) -> None:
        """The run has ended with these facts: they are owed, and no number is reserved beyond them any more."""
        self._owe(taken)
        self._reserved = self.last_seq

    def _owe(self, taken: Sequence[Fact]) -> None:
        for fact in taken:
            self._owed[fact.event_no] = fact
            # Of the thread: events of a run that was deleted are gone, also for who has the beginning of a message.
            self._unsettled = self._unsettled or fact.logged.channel == TO_ALL
            self.last_seq = max(self.last_seq, fact.logged.seq)

    async def note_logged(self) -> None:
        """Say in the rows of facts that they are in the log. Raises DatabaseUnavailableError."""
        await facts.note_logged(self._unnoted)
        self._unnoted.clear()

    async def append(self, batch: Sequence[Logged]) -> list[Logged]:
        """Append what is owed and ``batch``, with a gap and a snapshot where numbers are missing before them.

        Redis being away is no error: the events are a hole then, which the next append declares; facts stay owed.

        Returns:
            What subscribers have not been told yet, in order, whether Redis was there or not. What a dead holder has
            numbered is not in it: it may be older than what they have.

        Raises:
            LeaseLostError: a newer epoch writes the log.
            DatabaseUnavailableError: PostgreSQL stays away, and is needed to say what is owed, or missing.
        """
        await self._be_sure()
        by_seq = {event.seq: event for event in (*(fact.logged for fact in self._owed.values()), *batch)}
        given = [by_seq[seq] for seq in sorted(by_seq)]
        loop = asyncio.get_running_loop()
        if given and loop.time() >= self._away_until:
            try:
                given = await self._append(given)
            except EventLogUnavailableError:
                self._note_away()
        told = [event for event in given if event.seq > self._told_seq]
        if told:
            self._told_seq = told[-1].seq
        return told

    def _note_away(self) -> None:
        self._away_until = asyncio.get_running_loop().time() + _AWAY_S
        logger.warning("the event log is away; the run goes on without it", exc_info=True)

    async def _append(self, wanted: list[Logged]) -> list[Logged]:
        """``wanted``, and what was declared with it: it is in the log, or may be if the reply is lost."""
        for _ in range(_TRIES):
            declared = await self._declared(wanted)
            given = [*wanted, *declared]
            try:
                appended = await log.append(
                    self._hold,
                    given,
                    expected_seq=self._logged_seq,
                    proved=time.monotonic() < self._proved_until,
                )
            except EventLogUnavailableError:
                # Their numbers are used, and whoever is told of the next event is told of them: he reads no log.
                self.last_seq = max(self.last_seq, given[-1].seq)
                self._unsettled = self._unsettled or bool(declared)
                self._note_away()
                return given
            match appended.answer:
                case "ok":
                    self._logged_seq = given[-1].seq
                    self.last_seq = max(self.last_seq, self._logged_seq)
                    self._proved_until = 0.0
                    self._first = False
                    self._unsettled = self._unsettled or bool(declared)
                    self._unnoted += self._owed
                    self._owed.clear()
                    return given
                case "fenced":
                    raise LeaseLostError
                case "unknown":
                    asked_at = time.monotonic()
                    if not await self._prove(self._hold):
                        raise LeaseLostError
                    self._proved_until = asked_at + PROOF_S
                case "tail_lost":
                    logger.warning("the event log does not end where it should", extra={"last_seq": appended.last_seq})
                    self._logged_seq = appended.last_seq
        raise EventLogUnavailableError("the log is lost again and again")

    async def _declared(self, wanted: Sequence[Logged]) -> list[Logged]:
        """What has to follow ``wanted``: nothing, or the declaration of the numbers that are missing before it."""
        missing = _missing(after=self._logged_seq, present=wanted, last_seq=self.last_seq)
        if missing is None:
            return []
        await self.reserve(3)
        declared: list[Event] = []
        if self._first and (problem := await self._abandoned_message(wanted)) is not None:
            declared.append(problem)
        declared.append(events.gap(first=missing[0], last=missing[1]))
        declared.append(events.values(self._hold.thread_id, await self._snapshot()))
        seq = self.last_seq
        generation = self._hold.generation
        return [events.number(event, generation=generation, seq=seq + place) for place, event in enumerate(declared, 1)]

    async def state_after_gap(self) -> Event | None:
        """How the thread stands, once, if a gap was declared: the snapshot behind that lacks the message then open.

        A client that has not got that message's beginning cannot make anything of the rest of it.
        """
        if not self._unsettled:
            return None
        self._unsettled = False
        return events.values(self._hold.thread_id, await self._snapshot())

    async def _snapshot(self) -> list[Json] | None:
        try:
            return await snapshot(thread_id=self._hold.thread_id, account_id=self._hold.account_id)
        except DatabaseUnavailableError:
            return None

    async def _abandoned_message(self, wanted: Sequence[Logged]) -> Event | None:
        """The error that closes the message which the holder before this one left open, if its run goes on."""
        for entry in (*reversed(wanted), *await log.read_back(self._hold, limit=_READ_BACK)):
            params: Any = json.loads(entry.frame)["params"]
            match entry.channel, params["data"].get("event"):
                case ("messages", "message-finish" | "error") | ("lifecycle", "completed" | "failed" | "interrupted"):
                    return None
                case "messages", "message-start":
                    return events.message_error(
                        UUID(params["run_id"]), code="abandoned", message="its executor died; the answer is begun anew"
                    )
                case _:
                    pass
        return None


def _missing(*, after: int, present: Sequence[Logged], last_seq: int) -> tuple[int, int] | None:
    """The first and the last number after ``after`` and before the end of ``present`` that is not in it.

    If there is one, then up to ``last_seq``: the declaration's own numbers follow that, so numbers behind ``present``
    that a lost declaration or a dead holder used are behind it for ever.
    """
    first = last = None
    expected = after + 1
    for event in present:
        if event.seq > expected:
            first, last = first or expected, event.seq - 1
        expected = max(expected, event.seq + 1)
    if first is None or last is None:
        return None
    return first, max(last, last_seq if last_seq >= expected else last)
