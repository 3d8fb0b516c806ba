"""ContextManager: what the model is given of a thread, and when it is summarised."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.context.budget import THRESHOLD, Calibration, budget_of
from shared.context.counting import PRIMING, Encoding, count_system, family_of, load
from shared.context.plan import Plan, compressed_size, groups_of, plan
from shared.context.reading import Reader, Tail
from shared.context.summaries import FEWEST_MESSAGES, Summaries, Summary
from shared.database import context, threads
from shared.database.context import EndedRun, Scope
from shared.database.pool import connection
from shared.database.run_hold import holding
from shared.domain import Claim, Json
from shared.llm import Llm

type ShouldStop = Callable[[], Awaitable[bool]]

# A summary is prepared after the run that comes this near to its budget, so that the next one need not wait for it.
NEAR = 0.8

# A summary that was asked for in vain is not asked for again by the same run until then (seconds).
ASK_AGAIN_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the model is given.

    ``messages``: in litellm's form, the system prompt first. ``tokens``: theirs and the tools', by our count.
    ``over_budget``: hand the run over to be summarised. ``near_budget``: prepare a summary when the run has ended.
    ``left_out``: messages that had to be left out. ``rows_read``: from the database.
    ``can_summarize``: a summary would help, and has not been asked for in vain. ``summary_id``: the one it begins with.
    """

    messages: list[Json]
    tokens: int
    over_budget: bool
    near_budget: bool
    left_out: int
    rows_read: int
    can_summarize: bool
    summary_id: UUID | None


class ContextManager:
    """Builds contexts and keeps them within their budgets; one a process."""

    def __init__(self, *, llm: Llm, threshold: int = THRESHOLD) -> None:
        """``threshold``: tokens at which a thread is summarised, if its model's own budget is not smaller."""
        self._threshold = threshold
        self._summaries = Summaries(llm)
        self._calibration = Calibration()

    async def warm_up(self, model: str) -> None:
        """Have ready what the first context for ``model`` would otherwise wait for."""
        await load(family_of(model).encoding)

    async def build(
        self,
        claim: Claim,
        *,
        model: str,
        system: str | None,
        extra_tokens: int = 0,
        summarize: bool = True,
    ) -> Context:
        """The context of the claimed run's next turn.

        What does not fit is left out, and says so. If a summary can help, ``over_budget`` asks for one; a run that
        asked and has got none is told to go on with what fits.

        Args:
            claim: the run.
            model: its litellm name.
            system: the system prompt.
            extra_tokens: what else the request holds: tools (``counting.count_tools``).
            summarize: whether the thread may be summarised (Suna's ``enable_context_manager``).

        Raises:
            LeaseLostError: the run is somebody else's by now.
        """
        family = family_of(model)
        await load(family.encoding)
        scope = Scope.of(claim)
        reader = Reader(scope, family)
        fixed = PRIMING + extra_tokens + (count_system(system, family.encoding) if system else 0)
        budget = self._budget(model)
        tail = await reader.tail(max(0, budget - fixed))
        asked_in_vain = tail.standing.requested_ago_s is not None and tail.standing.requested_ago_s < ASK_AGAIN_S
        if asked_in_vain and tail.standing.overflow:
            # The provider counts more than we do, and there is no summary: half of it will do.
            budget //= 2
        chosen = _plan(tail, allowance=budget - fixed)
        can_summarize = summarize and not asked_in_vain and _is_summarisable(tail)
        over_budget = can_summarize and not chosen.fits
        if over_budget:
            await _ask(claim, tail.standing.summary_id, overflow=False)
        left_out = 0 if chosen.fits else await _left_out(scope, tail, chosen)
        messages = await self._messages(reader, tail, chosen, system=_saying(system, left_out))
        note = _note_tokens(system, left_out, family.encoding)
        in_all = fixed + tail.summary_tokens + compressed_size([*tail.question, *tail.rows])
        return Context(
            messages=messages,
            tokens=fixed + tail.summary_tokens + chosen.tokens + note,
            over_budget=over_budget,
            near_budget=summarize and _is_summarisable(tail) and (not chosen.fits or in_all >= NEAR * budget),
            left_out=left_out,
            rows_read=reader.rows_read,
            can_summarize=can_summarize,
            summary_id=tail.standing.summary_id,
        )

    async def overflowed(self, claim: Claim, built: Context) -> bool:
        """The provider has refused ``built`` as too long: whether to hand the run over to be summarised.

        If not, or if it is refused again, the run fails.
        """
        if built.can_summarize:
            await _ask(claim, built.summary_id, overflow=True)
        return built.can_summarize

    def learn(self, model: str, *, counted: int, reported: int) -> None:
        """Correct the counts for ``model`` by what its provider counted (``Context.tokens``, and its usage)."""
        self._calibration.learn(model, counted=counted, reported=reported)

    async def check_and_summarize_if_needed(
        self, claim: Claim, *, model: str, force: bool = False, should_stop: ShouldStop | None = None
    ) -> bool:
        """Summarise the claimed run's thread if it is over its budget; whether there is a new summary.

        See :meth:`summarize`.
        """
        return await self.summarize(claim, model=model, force=force, should_stop=should_stop) is not None

    async def summarize(
        self,
        claim: Claim,
        *,
        model: str,
        force: bool = False,
        should_stop: ShouldStop | None = None,
        provider_key: str | None = None,
    ) -> Summary | None:
        """Summarise the thread but for its newest messages, if it is over its budget (or ``force``).

        ``None``: there was no need, there are fewer than 3 messages, ``should_stop`` said so, or somebody else's
        summary stands.

        Raises:
            LeaseLostError: the run is somebody else's by now; nothing was written.
            SummaryFailedError: the model made none; nothing was written.
        """
        return await self._summaries.make(
            Scope.of(claim),
            model=model,
            budget=self._budget(model),
            at=0 if force else self._budget(model),
            writing=lambda: holding(claim, and_thread=True),
            should_stop=should_stop,
            provider_key=provider_key,
        )

    async def prepare(
        self,
        ended: EndedRun,
        *,
        model: str,
        should_stop: ShouldStop | None = None,
        provider_key: str | None = None,
    ) -> Summary | None:
        """Summarise the thread of a run that has ended if it is near its budget. Raises ``SummaryFailedError``.

        There is no lease to hold any more, and no need of one: what the summary covers has been said, and if any of
        it changes the summary is void. Whoever hides or deletes it waits for the thread's row lock, which this has.
        """
        budget = self._budget(model)
        scope = ended.scope
        return await self._summaries.make(
            scope,
            model=model,
            budget=budget,
            at=round(NEAR * budget),
            writing=lambda: threads.locked(thread_id=scope.thread_id, account_id=scope.account_id),
            should_stop=should_stop,
            provider_key=provider_key,
        )

    def _budget(self, model: str) -> int:
        return self._calibration.adjusted(model, budget_of(model, threshold=self._threshold))

    async def _messages(self, reader: Reader, tail: Tail, chosen: Plan, *, system: str | None) -> list[Json]:
        wanted = [(row.message_id, whole) for row, whole in chosen.given]
        if tail.standing.summary_id is not None:
            wanted.insert(0, (tail.standing.summary_id, True))
        messages = [content for _, content in (await reader.contents(wanted)).values()]
        return [{"role": "system", "content": system}, *messages] if system else messages


async def _ask(claim: Claim, newest_summary: UUID | None, *, overflow: bool) -> None:
    async with holding(claim) as taken:
        await context.request_summary(taken, Scope.of(claim), newest_summary=newest_summary, overflow=overflow)


def _plan(tail: Tail, *, allowance: int) -> Plan:
    """The plan for the messages after the summary."""
    return plan(
        tail.rows,
        question=tail.question,
        allowance=allowance - tail.summary_tokens,
        complete=tail.complete,
        note_tokens=_NOTE_TOKENS,
    )


def _is_summarisable(tail: Tail) -> bool:
    return not tail.complete or (len(tail.rows) >= FEWEST_MESSAGES and len(groups_of(tail.rows)) > 1)


# More than the note below has in any encoding.
_NOTE_TOKENS = 40
_NOTE = "({count} earlier messages of this conversation are left out here, because they do not fit.)"


def _saying(system: str | None, left_out: int) -> str | None:
    """The system prompt, and that something is left out."""
    if not left_out:
        return system
    note = _NOTE.format(count=left_out)
    return f"{system}\n\n{note}" if system else note


def _note_tokens(system: str | None, left_out: int, encoding: Encoding) -> int:
    if not left_out:
        return 0
    noted = _saying(system, left_out) or ""
    return count_system(noted, encoding) - (count_system(system, encoding) if system else 0)


async def _left_out(scope: Scope, tail: Tail, chosen: Plan) -> int:
    """How many of the messages after the summary are not given."""
    given: Sequence[context.Row] = [row for row, _ in chosen.given if row.place > tail.standing.covers]
    if tail.complete:
        return len(tail.rows) - len(given)
    async with connection() as taken:
        return await context.count_after(taken, scope, tail.standing.covers) - len(given)
