"""Rolling summaries: the older part of a thread becomes one message, and the earlier summary goes into it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from shared import provider_errors
from shared.context import charging, summary_text
from shared.context.budget import limits_of
from shared.context.charging import Charging
from shared.context.counting import PRIMING, Encoding, count_message, count_text, family_of, load
from shared.context.plan import compressed_size, groups_of, size
from shared.context.reading import Reader, Tail
from shared.context.transcript import first_piece, pack, transcribe
from shared.database import Connection, budgets, connection, context, transaction
from shared.database.context import NewSummary, Row, Scope
from shared.domain import Json
from shared.errors import SunaError
from shared.llm import Completion, Llm, ModelError, is_passing
from shared.message_ids import new_message_id
from shared.prices import Prices
from shared.telemetry import logger

type Writing = Callable[[], AbstractAsyncContextManager[Connection]]

# Fewer are never summarised, not even by force.
FEWEST_MESSAGES = 3

# What a summary may have at most, its marks included: a share of the budget, within limits (tokens).
LONGEST_SUMMARY = 8_000
SHORTEST_SUMMARY = 256
_SUMMARY_SHARE = 8

# The newest messages stay verbatim: up to this share of the budget, and never more than half of all.
_TAIL_SHARE = 5

# For the instruction, and for what a reasoning model thinks before it answers.
_PROMPT_TOKENS = 500
_THOUGHT_TOKENS = 8_000

_CALL_TIMEOUT_S = 120.0
# A call that fails within so many seconds is repeated; one that fails late has had its chance.
_REPEATED_WITHIN_S = 30.0
_BACKOFF_S = (1.0, 4.0)


class SummaryFailedError(SunaError):
    """The model has made no summary."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A summary that was written. Tokens of the context before it, and of the summary itself."""

    summary_id: UUID
    metadata: Json


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What is to be summarised: ``covered``, after the summary that ``tail`` begins with."""

    scope: Scope
    model: str
    provider_key: str | None
    encoding: Encoding
    target: int
    chunk_limit: int
    tail: Tail
    covered: Sequence[Sequence[Row]]
    summary_id: UUID = field(default_factory=new_message_id)
    charges: list[Json] = field(default_factory=list[Json])
    """What the model's answers are charged with, so far."""


class Summaries:
    """Makes summaries with a model."""

    def __init__(self, llm: Llm, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._llm = llm
        self._charges = Charging(Prices(llm.model_prices))
        self._sleep = sleep

    async def make(
        self,
        scope: Scope,
        *,
        model: str,
        budget: int,
        at: int,
        writing: Writing,
        should_stop: Callable[[], Awaitable[bool]] | None = None,
        provider_key: str | None = None,
    ) -> Summary | None:
        """Summarise if the context has ``at`` tokens or more.

        ``None``: it has fewer, or fewer than 3 messages, or ``should_stop`` said so before a call of the model, or
        another summary stands in this one's place.

        Args:
            scope: whose context.
            model: who summarises, and in whose tokens is counted.
            budget: of the context, in tokens.
            at: see above.
            writing: the transaction to write in, which has the thread's row lock: what is covered stays as it is until
                the summary is there to be void. It raises if that is not allowed any more.
            should_stop: asked before each call.
            provider_key: see ``Llm.complete``.

        Raises:
            SummaryFailedError: the model made none; nothing was written.
        """
        family = family_of(model)
        await load(family.encoding)
        reader = Reader(scope, family)
        tail = await reader.tail()
        groups = groups_of(tail.rows)
        if len(tail.rows) < FEWEST_MESSAGES:
            return None
        tokens = PRIMING + tail.summary_tokens + _given_size(groups)
        covered = groups[: _first_verbatim(groups, budget=budget)]
        if tokens < at or not covered:
            return None
        target = max(SHORTEST_SUMMARY, min(LONGEST_SUMMARY, budget // _SUMMARY_SHARE))
        task = _Task(
            scope=scope,
            model=model,
            provider_key=provider_key,
            encoding=family.encoding,
            target=target,
            chunk_limit=max(target, budget - 2 * target - _PROMPT_TOKENS),
            tail=tail,
            covered=covered,
        )
        written: Summary | None = None
        try:
            before = await self._fingerprint(task)
            text = await self._summarise(task, reader, should_stop)
            if text is not None:
                written = await self._write(task, text, tokens=tokens, fingerprint=before, writing=writing)
        finally:
            if written is None:
                await _charge_dropped(task)
        return written

    async def _summarise(
        self, task: _Task, reader: Reader, should_stop: Callable[[], Awaitable[bool]] | None
    ) -> str | None:
        """The new summary's words; ``None`` if it is to stop."""
        earlier: str | None = None
        if task.tail.standing.summary_id is not None:
            for _, stored in (await reader.contents([(task.tail.standing.summary_id, True)])).values():
                earlier = summary_text.text_of(stored)
        groups = await _texts(reader, task.covered)
        count = partial(count_text, encoding=task.encoding)
        chunks = await asyncio.to_thread(pack, groups, limit=task.chunk_limit, count=count)
        for place, chunk in enumerate(chunks, start=1):
            if should_stop is not None and await should_stop():
                return None
            logger.info("summarising", extra={"chunk": place, "of": len(chunks)})
            asked = summary_text.request(earlier=earlier, chunk=chunk, target=task.target)
            earlier = await self._within_target(task, await self._complete(task, asked))
        return earlier

    async def _within_target(self, task: _Task, text: str) -> str:
        """The summary's words, not longer than they may be: shortened by the model, else cut at a sentence."""
        if _summary_size(text, task) <= task.target:
            return text
        try:
            text = await self._complete(task, summary_text.shortening(text, target=task.target))
        except SummaryFailedError:
            logger.warning("a summary is too long and could not be shortened: it is cut")
        if _summary_size(text, task) <= task.target:
            return text
        marks = _summary_size("", task)
        count = partial(count_text, encoding=task.encoding)
        # A token may be split where the words meet the marks.
        return first_piece(text, limit=task.target - marks - 2, count=count).rstrip()

    async def _complete(self, task: _Task, asked: list[Json]) -> str:
        """The model's answer, repeated while it may yet give one. Raises ``SummaryFailedError``."""
        thoughts = _THOUGHT_TOKENS if limits_of(task.model).reasons else 0
        for backoff_s in (*_BACKOFF_S, None):
            begun = time.monotonic()
            try:
                answer = await self._llm.complete(
                    model=task.model,
                    messages=asked,
                    max_tokens=task.target + thoughts,
                    timeout_s=_CALL_TIMEOUT_S,
                    provider_key=task.provider_key,
                )
            except ModelError as error:
                told = provider_errors.logged(error)
                if told["code"] == "model_timeout":
                    # It may have been at work on it.
                    task.charges.append(self._charges.estimated(task.model, sent=_sent(task, asked), received=0))
                late = time.monotonic() - begun > _REPEATED_WITHIN_S
                if backoff_s is None or late or not is_passing(error):
                    raise SummaryFailedError(f"the model has made no summary: {told}") from error
                logger.warning("the model failed to summarise; it is asked again", extra=told)
            else:
                task.charges.append(await self._charge(task, asked, answer))
                text = summary_text.clean(answer.text)
                if text:
                    return text
            if backoff_s is not None:
                await self._sleep(backoff_s)
        raise SummaryFailedError("the model has answered nothing when it was asked for a summary")

    async def _charge(self, task: _Task, asked: Sequence[Json], answer: Completion) -> Json:
        if answer.usage is not None:
            return self._charges.reported(task.model, answer.usage)
        received = await charging.count(task.model, answer.text)
        return self._charges.estimated(task.model, sent=_sent(task, asked), received=received)

    async def _fingerprint(self, task: _Task) -> str | None:
        async with connection() as taken:
            return await self._fingerprint_in(taken, task)

    async def _fingerprint_in(self, taken: Connection, task: _Task) -> str | None:
        last = task.covered[-1][-1]
        return await context.fingerprint(taken, task.scope, after=task.tail.standing.covers, up_to=last.place)

    async def _write(
        self, task: _Task, text: str, *, tokens: int, fingerprint: str | None, writing: Writing
    ) -> Summary | None:
        last = task.covered[-1][-1]
        content = summary_text.message(text)
        metadata = summary_text.metadata(
            model=task.model,
            messages=sum(map(len, task.covered)),
            token_count=tokens,
            summary_tokens=count_message(content, task.encoding),
            covers=last.place,
            last=last.message_id,
        )
        metadata |= charging.in_all(task.charges)
        new = NewSummary(
            message_id=task.summary_id,
            content=content,
            metadata=metadata,
            covers=last.place,
            follows=task.tail.standing.summary_id,
        )
        async with writing() as taken:
            if await self._fingerprint_in(taken, task) != fingerprint:
                logger.warning("what was summarised has changed meanwhile; the summary is dropped")
                return None
            written = await context.insert_summary(taken, task.scope, new)
        logger.info("summarised" if written else "another summary stands", extra=metadata)
        return Summary(summary_id=new.message_id, metadata=metadata) if written else None


async def _texts(reader: Reader, groups: Sequence[Sequence[Row]]) -> list[list[str]]:
    """Messages as text: what people and the model said in full, results as the model was given them."""
    found = await reader.contents([(row.message_id, row.type != "tool") for group in groups for row in group])
    return [[transcribe(*found[row.message_id]) for row in group if row.message_id in found] for group in groups]


def _summary_size(text: str, task: _Task) -> int:
    return count_message(summary_text.message(text), task.encoding)


def _sent(task: _Task, asked: Sequence[Json]) -> int:
    """Tokens of what the model was asked."""
    return PRIMING + sum(count_message(message, task.encoding) for message in asked)


async def _charge_dropped(task: _Task) -> None:
    """Charge the run with answers that no summary came of."""
    if not task.charges:
        return
    async with transaction() as taken:
        await budgets.charge_unkept(
            taken,
            answer_id=task.summary_id,
            account_id=task.scope.account_id,
            thread_id=task.scope.thread_id,
            run_number=task.scope.number,
            charge=charging.in_all(task.charges),
        )


def _given_size(groups: Sequence[Sequence[Row]]) -> int:
    """Tokens of all messages as the model is given them: the newest group whole."""
    *older, newest = groups
    return compressed_size([row for group in older for row in group]) + sum(size(row, whole=True) for row in newest)


def _first_verbatim(groups: Sequence[Sequence[Row]], *, budget: int) -> int:
    """Where the verbatim tail begins, in groups; it holds the newest one in any case."""
    sizes = [compressed_size(group) for group in groups]
    limit = min(budget // _TAIL_SHARE, sum(sizes) // 2)
    place, left = len(groups) - 1, limit - sizes[-1]
    while place > 0 and sizes[place - 1] <= left:
        place -= 1
        left -= sizes[place]
    return place
